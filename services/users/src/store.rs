//! The table of customers.

use kit::{Database, Id, Result, Step, clock, db};

use crate::api::{NewUser, User};

/// The schema.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "users",
        sql: include_str!("../migrations/1_users.sql"),
    },
    Step {
        version: 2,
        name: "seed",
        sql: include_str!("../migrations/2_seed.sql"),
    },
];

const INSERT: &str = "INSERT INTO users (name, email, created_at_ms) VALUES (?, ?, ?)";
const FIND: &str = "SELECT user_id, name, email FROM users WHERE user_id = ?";
const LIST: &str = "SELECT user_id, name, email FROM users ORDER BY user_id LIMIT ?";

type Row = (i64, String, Option<String>);

/// Customers, in the service's database.
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

    /// Adds a customer.
    pub async fn add(&self, user: NewUser) -> Result<User> {
        let insert = sqlx::query(INSERT)
            .bind(&user.name)
            .bind(&user.email)
            .bind(clock::now_ms())
            .execute(self.database.pool());
        let inserted = db("INSERT", "users", INSERT, insert).await?;
        Ok(User {
            user_id: Id(inserted.last_insert_rowid()),
            name: user.name,
            email: user.email,
        })
    }

    /// Finds a customer.
    pub async fn find(&self, id: Id) -> Result<Option<User>> {
        let find = sqlx::query_as::<_, Row>(FIND)
            .bind(id.0)
            .fetch_optional(self.database.pool());
        Ok(db("SELECT", "users", FIND, find).await?.map(user))
    }

    /// The first customers, by id.
    pub async fn list(&self, limit: i64) -> Result<Vec<User>> {
        let list = sqlx::query_as::<_, Row>(LIST)
            .bind(limit)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "users", LIST, list).await?;
        Ok(rows.into_iter().map(user).collect())
    }
}

fn user((id, name, email): Row) -> User {
    User {
        user_id: Id(id),
        name,
        email,
    }
}
