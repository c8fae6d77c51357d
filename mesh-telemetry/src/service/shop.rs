//! What the shop counts of itself.

use super::timed::count;
use crate::{catalog, register::gauge};

/// Something that happened in the shop.
#[derive(Clone, Copy, Debug)]
pub enum ShopEvent<'a> {
    /// An order reached its final status.
    OrderFinished {
        /// `confirmed`, `rejected` or `failed`.
        status: &'static str,
    },
    /// A payment was decided.
    PaymentFinished {
        /// `charged`, `replayed`, `declined`, `failed` or `refunded`.
        result: &'static str,
    },
    /// Messages that wait in the outbox.
    OutboxPending(u64),
    /// Units that can be reserved.
    Stock {
        /// Product id (the catalog of products is bounded).
        product: &'a str,
        /// Units.
        units: i64,
    },
}

/// Counts what happened in the shop.
pub fn emit(event: ShopEvent<'_>) {
    match event {
        ShopEvent::OrderFinished { status } => {
            count(&catalog::SHOP_ORDERS, &[status]);
        }
        ShopEvent::PaymentFinished { result } => {
            count(&catalog::SHOP_PAYMENTS, &[result]);
        }
        ShopEvent::OutboxPending(messages) => {
            gauge(&catalog::SHOP_OUTBOX, &[]).set(messages as f64);
        }
        ShopEvent::Stock { product, units } => {
            gauge(&catalog::SHOP_STOCK, &[product]).set(units as f64);
        }
    }
}
