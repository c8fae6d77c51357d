// Where one is on the page lives in the hash, so that a link can be sent.
//   #/struck/RULE  ·  #/scenario/ID
//   #/  ·  #/edge/orders/payments  ·  #/service/payments  ·  #/trace/ID[/SPAN]  ·  #/chaos/RULE

/** `#/edge/a/b` → `{view: "edge", args: ["a", "b"]}`. */
export function parse(hash) {
  const [view = "", ...args] = hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decode);
  return { view, args };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a broken escape is a name like any other
  }
}

/** The hash for a view: `href("trace", id)`. */
export const href = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

/** Goes to a view; `go()` is the mesh as a whole. */
export const go = (...parts) => {
  location.hash = href(...parts);
};
