//! Reading the sidecars' pages, once a second.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::{Page, Scraped};
use crate::registry::Key;

/// Time for one page: less than a tick, so that a dead sidecar delays nobody.
const PATIENCE: Duration = Duration::from_millis(800);

/// Largest page that is read, bytes.
const LARGEST_PAGE: usize = 8 * 1024 * 1024;

/// A page to read.
pub(crate) struct Target {
    pub(crate) key: Key,
    pub(crate) pid: u32,
    pub(crate) metrics: SocketAddr,
}

/// Keeps a connection to each page.
pub(crate) struct Scraper {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Default for Scraper {
    fn default() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new()) // so that connections to sidecars that left go too
                .build_http(),
        }
    }
}

impl Scraper {
    /// Reads all pages at once; those that cannot be read are left out.
    pub(crate) async fn scrape(&self, targets: Vec<Target>) -> Vec<Scraped> {
        let reads = targets.into_iter().map(|target| self.one(target));
        join_all(reads).await.into_iter().flatten().collect()
    }

    async fn one(&self, target: Target) -> Option<Scraped> {
        let text = match timeout(PATIENCE, self.text(target.metrics)).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::debug!(instance = target.key.1, %error, "metrics page not read");
                return None;
            }
            Err(_) => {
                tracing::debug!(instance = target.key.1, "metrics page too slow");
                return None;
            }
        };
        Some(Scraped {
            key: target.key,
            pid: target.pid,
            page: Page::read(&text),
        })
    }

    async fn text(
        &self,
        addr: SocketAddr,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(addr.to_string())
            .path_and_query("/metrics")
            .build()?;
        let response = self.client.get(uri).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), LARGEST_PAGE);
        let bytes = body.collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
