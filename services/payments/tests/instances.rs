//! Two instances over one database, as in the mesh.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use futures_util::future::join_all;
use http::Method;
use kit::{Call, Context, Peer, Peers};
use payments::api::{Charge, Charged, Payment, Refunded};
use tokio_util::sync::CancellationToken;

async fn instance(folder: &std::path::Path) -> Peer {
    let context = Context::new(folder, Peers::default(), CancellationToken::new());
    let router = payments::build(&context).await.unwrap();
    Peer::in_process(payments::NAME, router)
}

async fn charge(instance: &Peer, order: &str) -> kit::Result<Charged> {
    let charge = Charge {
        order_id: order.to_owned(),
        amount_cents: 1_250,
    };
    let call = Call::new(Method::POST, "/payments").idempotency_key(order);
    instance.call(call.json(&charge)?).await
}

#[tokio::test]
async fn one_key_through_two_instances_at_once_charges_once() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = tokio::join!(instance(folder.path()), instance(folder.path()));
    for round in 0..5 {
        let order = format!("order-{round}");
        let all = (0..10).map(|n| charge(if n % 2 == 0 { &first } else { &second }, &order));
        let ids: Vec<String> = join_all(all)
            .await
            .into_iter()
            .map(|charged| charged.unwrap().payment_id)
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let path = format!("/payments?order_id={order}");
        let payments: Vec<Payment> = second.get(&path).await.unwrap();
        assert_eq!(payments.len(), 1);
    }
}

#[tokio::test]
async fn a_refund_and_a_charge_at_once_never_keep_the_money() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = tokio::join!(instance(folder.path()), instance(folder.path()));
    for round in 0..10 {
        let order = format!("order-{round}");
        let path = format!("/payments/refunds/{order}");
        let refund = second.call::<Refunded>(Call::new(Method::PUT, path));
        let (charged, refunded) = tokio::join!(charge(&first, &order), refund);
        let back = refunded.unwrap().refunded_cents;
        // Either the charge was first and came back, or it was refused.
        assert_eq!(back, if charged.is_ok() { 1_250 } else { 0 });
    }
}
