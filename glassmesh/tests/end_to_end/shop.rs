//! What tests ask of the shop, through its gateway.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::{
    http_client::{self, Call},
    mesh::{Mesh, eventually},
};

impl Mesh {
    /// An order that can be placed: a new user, the first product.
    pub(crate) async fn order(&self) -> Value {
        let user = json!({ "name": "Ada" });
        let user = self.shop(Method::POST, "/users", &user).await.unwrap();
        let products = self.shop(Method::GET, "/products", &Value::Null).await;
        let product = products.unwrap()[0]["product_id"].clone();
        let item = json!({ "product_id": product, "quantity": 1 });
        json!({ "user_id": user["user_id"], "items": [item] })
    }

    /// One read through the gateway.
    pub(crate) async fn products(&self) -> anyhow::Result<Value> {
        self.shop(Method::GET, "/products", &Value::Null).await
    }

    pub(crate) async fn place(&self, order: &Value) -> anyhow::Result<Value> {
        self.shop(Method::POST, "/orders", order).await
    }

    /// Places an order with one more header; gives back the answer's status.
    pub(crate) async fn place_with(&self, order: &Value, header: (&str, &str)) -> StatusCode {
        let answer = self.ask(Method::POST, "/orders", order, Some(header)).await;
        answer.unwrap().0
    }

    /// Places orders until one was hit by the rule, was retried, and reached
    /// notifications; gives back the id of its trace.
    pub(crate) async fn retried_order(&self, order: &Value, rule: &str) -> String {
        eventually("the trace of a retried order", async || {
            // Three tries may all be hit: such an order fails, as it should.
            let _ = self.place(order).await;
            let traces = self
                .console("/api/mesh/traces?filter=retried&limit=50")
                .await;
            let traces = traces.ok()?;
            let complete = traces.as_array()?.iter().find(|trace| {
                let has = |list: &str, wanted: &str| {
                    let list = trace[list].as_array();
                    list.is_some_and(|list| list.iter().any(|one| one == wanted))
                };
                has("faults", rule) && has("services", "notifications")
            })?;
            complete["trace_id"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn shop(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, body) = self.ask(method, path, body, None).await?;
        let text = String::from_utf8_lossy(&body);
        anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_slice(&body)?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        header: Option<(&str, &str)>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let url: Uri = format!("{}{path}", self.fact("shop")).parse()?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some((name, value)) = header {
            headers.insert(name.parse::<HeaderName>()?, value.parse()?);
        }
        let body = match body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body)?,
        };
        let call = Call {
            method,
            url: &url,
            headers,
            body,
            timeout: Duration::from_secs(10),
        };
        http_client::send(call).await
    }
}
