//! What the generator knows of the shop, and the requests it makes of it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header, uri::PathAndQuery};
use http_body_util::Full;
use rand::RngExt;
use serde_json::{Value, json};

use super::{
    LoadOptions,
    client::Answer,
    mix::{Kind, Mix},
};

/// Users that are created before orders come from the same ones again.
const USERS: usize = 20;
/// Orders that are remembered for look-ups.
const ORDERS: usize = 256;
/// Products that are remembered; the built-in catalogue is far smaller.
const PRODUCTS: usize = 1024;

/// Random choices for one arrival. Always drawn in full, so that the sequence
/// depends on the seed alone and not on what the shop answered.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    kind: f64,
    pick: f64,
    quantity: u32,
}

impl Draw {
    pub(super) fn new(random: &mut impl RngExt) -> Self {
        Self {
            kind: random.random(),
            pick: random.random(),
            quantity: random.random_range(1..=3),
        }
    }
}

#[derive(Default)]
struct Known {
    users: Vec<Value>,
    products: Vec<Value>,
    orders: VecDeque<Value>,
}

/// The shop as seen from outside.
pub(super) struct Shop {
    target: Uri,
    /// Keys of a run must be fresh even if its seed is not: the shop remembers them.
    run: u64,
    sequence: AtomicU64,
    known: Mutex<Known>,
}

impl Shop {
    pub(super) fn new(options: &LoadOptions) -> Self {
        Self {
            target: options.target.clone(),
            run: rand::random(),
            sequence: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    /// The request of one arrival. What cannot be asked yet (the detail of a
    /// product that nobody has seen) becomes what has to come first.
    pub(super) fn request(&self, mix: &Mix, draw: Draw) -> (Kind, Request<Full<Bytes>>) {
        let known = self.known();
        let product = pick(&known.products, draw.pick);
        let user = pick(&known.users, draw.pick);
        match (mix.pick(draw.kind), product, user) {
            (Kind::Detail, Some(product), _) => (
                Kind::Detail,
                self.get(&format!("/products/{}", id(product))),
            ),
            (Kind::Order, Some(_), _) if known.users.len() < USERS && draw.quantity == 1 => {
                (Kind::Signup, self.signup())
            }
            (Kind::Order, Some(_), None) => (Kind::Signup, self.signup()),
            (Kind::Order, Some(product), Some(user)) => {
                let item = json!({ "product_id": product, "quantity": draw.quantity });
                let order = json!({ "user_id": user, "items": [item] });
                (Kind::Order, self.post("/orders", &order))
            }
            (Kind::Lookup, ..) if !known.orders.is_empty() => {
                let at = index(known.orders.len(), draw.pick);
                let path = format!("/orders/{}", id(&known.orders[at]));
                (Kind::Lookup, self.get(&path))
            }
            _ => (Kind::Browse, self.get("/products")),
        }
    }

    /// Keeps what later requests can ask for.
    pub(super) fn learn(&self, kind: Kind, answer: &Answer) {
        if !answer.status.is_success() || matches!(kind, Kind::Detail | Kind::Lookup) {
            return;
        }
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return;
        };
        let mut known = self.known();
        match kind {
            Kind::Browse => known.products = products(&body),
            Kind::Signup => known.users.extend(body.get("user_id").cloned()),
            Kind::Order => {
                known.orders.extend(body.get("order_id").cloned());
                if known.orders.len() > ORDERS {
                    known.orders.pop_front();
                }
            }
            Kind::Detail | Kind::Lookup => {}
        }
    }

    fn signup(&self) -> Request<Full<Bytes>> {
        let number = self.sequence.load(Ordering::Relaxed);
        self.post("/users", &json!({ "name": format!("Visitor {number}") }))
    }

    fn get(&self, path: &str) -> Request<Full<Bytes>> {
        self.build(Method::GET, path, Bytes::new())
    }

    fn post(&self, path: &str, body: &Value) -> Request<Full<Bytes>> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut request = self.build(Method::POST, path, body.to_string().into());
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Ok(key) = HeaderValue::from_str(&format!("load-{:016x}-{number}", self.run)) {
            headers.insert("idempotency-key", key);
        }
        request
    }

    fn build(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = join(&self.target, path);
        let headers = request.headers_mut();
        // Lets dashboards and services tell this traffic from people's.
        headers.insert("baggage", HeaderValue::from_static("synthetic=true"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("glassmesh-load/", env!("CARGO_PKG_VERSION"))),
        );
        request
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The target with this path behind its own; a path that is none leaves the target.
fn join(target: &Uri, path: &str) -> Uri {
    let base = target.path().trim_end_matches('/');
    let mut parts = target.clone().into_parts();
    parts.path_and_query = format!("{base}{path}").parse::<PathAndQuery>().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

/// `GET /products` answers with a list, or with an object that holds one.
fn products(body: &Value) -> Vec<Value> {
    let list = body.as_array().or_else(|| body.get("products")?.as_array());
    list.into_iter()
        .flatten()
        .filter_map(|product| product.get("product_id").cloned())
        .take(PRODUCTS)
        .collect()
}

/// An id as it stands in a path, whether the shop writes numbers or strings.
fn id(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn pick(list: &[Value], draw: f64) -> Option<&Value> {
    list.get(index(list.len(), draw))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product of a length and a number from 0 to 1 is an index"
)]
fn index(length: usize, draw: f64) -> usize {
    ((length as f64 * draw) as usize).min(length.saturating_sub(1))
}
