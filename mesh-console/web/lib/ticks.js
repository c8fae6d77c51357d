// What somebody has seen of a scenario: kept in this browser alone.
const KEY = "glassmesh.seen";

function all() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // Storage may be forbidden, or hold what it should not.
  }
}

export const ticks = {
  /** Sentences that were ticked. */
  read: (id) => {
    const seen = all()[id];
    return Array.isArray(seen) ? seen : [];
  },
  write: (id, seen) => {
    try {
      localStorage.setItem(KEY, JSON.stringify({ ...all(), [id]: seen }));
    } catch {
      // Not remembered then.
    }
  },
};
