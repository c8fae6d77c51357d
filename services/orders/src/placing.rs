//! Placing an order: four other services, one outcome.
//!
//! The order is written down as pending before anything is asked of inventory
//! and payments. Each of those calls can be repeated without a second effect,
//! so an order whose process died is simply carried on by the next one
//! ([`carry_on`]), and one that fails is undone call by call; what cannot be
//! undone at once is promised in the outbox, in the same transaction that marks
//! the order failed.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use kit::idempotency::Known;
use kit::outbox::{Message, Outbox};
use kit::{Call, Context, Error, Id, Peer, Result, clock, deadline};
use mesh_telemetry::service::{ShopEvent, emit};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::{Created, Item, NewOrder, Order, Status};
use crate::store::Store;

/// How often abandoned orders are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Those an order depends on, and its own records.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Orders.
    pub store: Store,
    /// Promised calls.
    pub outbox: Outbox,
    /// Knows who can order.
    pub users: Peer,
    /// Knows what things cost.
    pub products: Peer,
    /// Sets units aside.
    pub inventory: Peer,
    /// Takes the money.
    pub payments: Peer,
}

/// What orders needs to know of a product.
#[derive(Debug, Deserialize)]
struct Priced {
    product_id: Id,
    price_cents: i64,
}

#[derive(Serialize)]
struct Reserve<'a> {
    items: &'a [Item],
}

#[derive(Serialize)]
struct Charge<'a> {
    order_id: &'a str,
    amount_cents: i64,
}

#[derive(Deserialize)]
struct Charged {
    payment_id: String,
}

#[derive(Serialize)]
struct Announcement {
    user_id: Id,
    message: String,
}

impl Placing {
    /// Places an order; with a key, once for this key.
    pub async fn place(&self, key: Option<&str>, request: &NewOrder) -> Result<Created> {
        let known = match key {
            Some(key) => self.store.known(key, request).await?,
            None => Known::Nothing,
        };
        if let Known::Answer(created) = known {
            return Ok(created);
        }
        let outcome = self.place_new(key, request).await;
        count(&outcome);
        outcome
    }

    async fn place_new(&self, key: Option<&str>, request: &NewOrder) -> Result<Created> {
        let wanted = request.check()?;
        let (user, products) = tokio::join!(self.user(request.user_id), self.prices(&wanted));
        user?;
        let order = draft(request.user_id, &wanted, &products?);
        match self.store.begin(&order, key, request).await? {
            Known::Answer(created) => Ok(created),
            Known::Nothing => self.complete(&order).await,
        }
    }

    async fn user(&self, id: Id) -> Result<()> {
        let path = format!("/users/{id}");
        match self.users.tell(Call::new(Method::GET, path)).await {
            Ok(()) => Ok(()),
            Err(Error::PeerStatus { status, .. }) if status == StatusCode::NOT_FOUND => Err(
                unknown("unknown_user", format!("user_id: there is no user {id}")),
            ),
            Err(error) => Err(error),
        }
    }

    /// One question for all products: the answer leaves out unknown ones.
    async fn prices(&self, wanted: &BTreeMap<Id, i64>) -> Result<BTreeMap<Id, i64>> {
        let ids: Vec<String> = wanted.keys().map(ToString::to_string).collect();
        let path = format!("/products?ids={}", ids.join(","));
        let products: Vec<Priced> = self.products.get(&path).await?;
        let prices: BTreeMap<Id, i64> = products
            .into_iter()
            .map(|product| (product.product_id, product.price_cents))
            .collect();
        match wanted.keys().find(|id| !prices.contains_key(id)) {
            None => Ok(prices),
            Some(id) => Err(unknown(
                "unknown_product",
                format!("product_id: there is no product {id}"),
            )),
        }
    }

    /// Brings a pending order to its end, whoever began it.
    async fn complete(&self, order: &Order) -> Result<Created> {
        if let Err(error) = self.reserve(order).await {
            return self.give_up(order, error, Undo::Reservation).await;
        }
        let payment = match self.charge(order).await {
            Ok(payment) => payment,
            Err(error) => return self.give_up(order, error, Undo::Both).await,
        };
        let created = Created {
            message: "Order created".to_owned(),
            order_id: order.order_id.clone(),
            status: Status::Confirmed,
            total_cents: order.total_cents,
        };
        let news = announcement(order)?;
        self.store.confirm(&payment, &created, &news).await?;
        self.outbox.wake();
        Ok(created)
    }

    async fn reserve(&self, order: &Order) -> Result<()> {
        let path = reservation(&order.order_id);
        let items = &order.items;
        let call = Call::new(Method::PUT, path).json(&Reserve { items })?;
        self.inventory.tell(call).await
    }

    async fn charge(&self, order: &Order) -> Result<String> {
        let call = Call::new(Method::POST, "/payments")
            .idempotency_key(&order.order_id)
            .json(&Charge {
                order_id: &order.order_id,
                amount_cents: order.total_cents,
            })?;
        let charged: Charged = self.payments.call(call).await?;
        Ok(charged.payment_id)
    }

    /// Undoes what may have happened, and tells the caller why.
    async fn give_up(&self, order: &Order, error: Error, undo: Undo) -> Result<Created> {
        // A step that was definitely refused had no effect.
        let refused = error.is_definite_refusal();
        let mut promises = Vec::new();
        if matches!(undo, Undo::Both) && !refused {
            promises.extend(self.undo(&self.payments, refund(&order.order_id)).await);
        }
        if matches!(undo, Undo::Both) || !refused {
            promises.extend(self.undo(&self.inventory, release(&order.order_id)).await);
        }
        let reason = error.code();
        self.store.fail(&order.order_id, reason, &promises).await?;
        self.outbox.wake();
        Err(error)
    }

    /// Makes the call now; if that fails, returns it as a promise to be kept. The time
    /// of whoever ordered may be what ran out, and is no limit here.
    async fn undo(&self, peer: &Peer, message: Message) -> Option<Message> {
        let call = Call::new(message.method.clone(), &message.path);
        let attempts = message.attempts + 1;
        let promise = |_| Message {
            attempts,
            ..message
        };
        deadline::lifted(peer.tell(call)).await.err().map(promise)
    }
}

/// How far an order had come.
enum Undo {
    /// Only the reservation was asked for.
    Reservation,
    /// The charge too.
    Both,
}

/// Carries abandoned orders on until the process ends.
pub async fn carry_on(placing: Placing, context: Context) {
    while !context.shutdown().is_cancelled() {
        match placing.store.take_up_abandoned().await {
            Ok(orders) => {
                for order in orders {
                    tracing::warn!(order = order.order_id, "carrying on an abandoned order");
                    count(&placing.complete(&order).await);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot look for abandoned orders"),
        }
        let _ = tokio::time::timeout(SWEEP, context.shutdown().cancelled()).await;
    }
}

fn count(outcome: &Result<Created>) {
    let status = match outcome {
        Ok(_) => "confirmed",
        Err(error) if error.status().is_client_error() => "rejected",
        Err(_) => "failed",
    };
    emit(ShopEvent::OrderFinished { status });
}

fn unknown(code: &'static str, message: String) -> Error {
    Error::refused(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

fn draft(user_id: Id, wanted: &BTreeMap<Id, i64>, prices: &BTreeMap<Id, i64>) -> Order {
    let items: Vec<Item> = wanted
        .iter()
        .filter_map(|(&product_id, &quantity)| {
            let price_cents = *prices.get(&product_id)?;
            Some(Item {
                product_id,
                quantity,
                price_cents,
            })
        })
        .collect();
    let cost = |item: &Item| item.price_cents.saturating_mul(item.quantity);
    Order {
        order_id: Uuid::new_v4().to_string(),
        user_id,
        status: Status::Pending,
        total_cents: items.iter().map(cost).fold(0, i64::saturating_add),
        payment_id: None,
        reason: None,
        created_at_ms: clock::now_ms(),
        items,
    }
}

fn reservation(order: &str) -> String {
    format!("/inventory/reservations/{order}")
}

fn release(order: &str) -> Message {
    Message {
        id: format!("{order}:release"),
        topic: "order.released",
        peer: "inventory",
        method: Method::DELETE,
        path: reservation(order),
        body: None,
        attempts: 0,
    }
}

fn refund(order: &str) -> Message {
    Message {
        id: format!("{order}:refund"),
        topic: "order.refunded",
        peer: "payments",
        method: Method::PUT,
        path: format!("/payments/refunds/{order}"),
        body: None,
        attempts: 0,
    }
}

fn announcement(order: &Order) -> Result<Message> {
    let units: i64 = order.items.iter().map(|item| item.quantity).sum();
    let message = format!(
        "Your order {} is confirmed: {units} item(s), {}.{:02} in all",
        order.order_id,
        order.total_cents / 100,
        order.total_cents % 100
    );
    let user_id = order.user_id;
    Ok(Message {
        id: format!("{}:created", order.order_id),
        topic: "order.created",
        peer: "notifications",
        method: Method::POST,
        path: "/notifications".to_owned(),
        body: Some(serde_json::to_string(&Announcement { user_id, message })?),
        attempts: 0,
    })
}
