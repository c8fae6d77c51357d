//! The catalog.

use kit::{Database, Id, Result, Step, clock, db};

use crate::api::{NewProduct, Product};

/// The schema.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "products",
        sql: include_str!("../migrations/1_products.sql"),
    },
    Step {
        version: 2,
        name: "seed",
        sql: include_str!("../migrations/2_seed.sql"),
    },
];

const INSERT: &str = "INSERT INTO products (name, description, price_cents, created_at_ms) \
    VALUES (?, ?, ?, ?)";
const DELETE: &str = "DELETE FROM products WHERE product_id = ?";
const FIND: &str =
    "SELECT product_id, name, description, price_cents FROM products WHERE product_id = ?";
const LIST: &str = "SELECT product_id, name, description, price_cents FROM products \
    ORDER BY product_id LIMIT ?";
// One parameter for any number of ids, so that the statement stays the same.
const SOME: &str = "SELECT product_id, name, description, price_cents FROM products \
    WHERE product_id IN (SELECT value FROM json_each(?)) ORDER BY product_id";

type Row = (i64, String, Option<String>, i64);

/// Products, in the service's database.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// The store in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a product.
    pub async fn add(&self, new: NewProduct) -> Result<Product> {
        let insert = sqlx::query(INSERT)
            .bind(&new.name)
            .bind(&new.description)
            .bind(new.price_cents)
            .bind(clock::now_ms())
            .execute(self.database.pool());
        let inserted = db("INSERT", "products", INSERT, insert).await?;
        let id = inserted.last_insert_rowid();
        Ok(product((id, new.name, new.description, new.price_cents)))
    }

    /// Takes a product back that could not be completed.
    pub async fn remove(&self, id: Id) -> Result<()> {
        let delete = sqlx::query(DELETE).bind(id.0).execute(self.database.pool());
        db("DELETE", "products", DELETE, delete).await?;
        Ok(())
    }

    /// Finds a product.
    pub async fn find(&self, id: Id) -> Result<Option<Product>> {
        let find = sqlx::query_as::<_, Row>(FIND)
            .bind(id.0)
            .fetch_optional(self.database.pool());
        Ok(db("SELECT", "products", FIND, find).await?.map(product))
    }

    /// Those of these products that exist.
    pub async fn some(&self, ids: &[i64]) -> Result<Vec<Product>> {
        let some = sqlx::query_as::<_, Row>(SOME)
            .bind(serde_json::to_string(ids)?)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "products", SOME, some).await?;
        Ok(rows.into_iter().map(product).collect())
    }

    /// The first products, by id.
    pub async fn list(&self, limit: i64) -> Result<Vec<Product>> {
        let list = sqlx::query_as::<_, Row>(LIST)
            .bind(limit)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "products", LIST, list).await?;
        Ok(rows.into_iter().map(product).collect())
    }
}

fn product((id, name, description, price_cents): Row) -> Product {
    Product {
        product_id: Id(id),
        name,
        description,
        price_cents,
    }
}
