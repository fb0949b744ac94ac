//! Reading through the pool, past connections that died and rows that cannot be read.

use std::sync::Arc;

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::{self, BoxStream},
};
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    pool::PoolConnection,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{StorageError, error::is_connection_failure, unreadable::Unreadable};

/// A pool to read from. Connections are not tested before they are used, which would cost a round trip each time: after PostgreSQL was
/// restarted, the first statement of each finds it dead. Such a statement is asked again, once, on a connection that lives.
///
/// For statements only that may run twice.
#[derive(Debug, Clone)]
pub(crate) struct Reads {
    pool: PgPool,
    unreadable: Arc<Unreadable>,
}

impl Reads {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, unreadable: Arc::default() }
    }

    /// Leave out a row that cannot be read. It is inert by itself: the others are read, and it is counted and told of.
    pub(crate) fn readable<T>(&self, row: Result<T, StorageError>) -> Option<T> {
        row.map_err(|error| self.unreadable.count(&error)).ok()
    }

    /// Begin a transaction, past dead connections: nothing has been done in it yet.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        match self.pool.begin().await {
            Err(error) if is_connection_failure(&error) => {
                Transaction::begin(self.living().await?, None).await
            }
            result => result,
        }
    }

    /// A connection that has answered. The dead ones that it meets are thrown away.
    async fn living(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        loop {
            let mut connection = self.pool.acquire().await?;
            match connection.ping().await {
                Ok(()) => return Ok(connection),
                Err(error) if is_connection_failure(&error) => drop(connection.detach()),
                Err(error) => return Err(error),
            }
        }
    }
}

type Step = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for &'c Reads {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        let steps = async move {
            let query = query?;
            let mut steps = self.pool.fetch_many(query.clone());
            match steps.next().await {
                Some(Err(error)) if is_connection_failure(&error) => {
                    let mut connection = self.living().await?;
                    let steps: Vec<_> = connection.fetch_many(query).try_collect().await?;
                    Ok::<_, sqlx::Error>(stream::iter(steps).map(Ok).boxed())
                }
                first => Ok(stream::iter(first).chain(steps).boxed()),
            }
        };
        steps.into_stream().try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        Box::pin(async move {
            let query = query?;
            match self.pool.fetch_optional(query.clone()).await {
                Err(error) if is_connection_failure(&error) => {
                    self.living().await?.fetch_optional(query).await
                }
                result => result,
            }
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.describe(sql)
    }
}

/// A statement that can be run twice.
#[derive(Clone)]
struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, persistent })
    }
}

impl<'q> Execute<'q, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn who_reads_does_not_meet_connections_that_died(pool: PgPool) {
        const CONNECTIONS: u32 = 4;
        let options = (*pool.connect_options()).clone().application_name("reads");
        let ours = PgPoolOptions::new()
            .min_connections(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .unwrap();
        let reads = Reads::new(ours);
        for _ in 0..2 {
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'reads' AND datname = current_database()",
            )
            .execute(&pool)
            .await
            .unwrap();
            for _ in 0..CONNECTIONS {
                let rows = sqlx::query("SELECT pos FROM log_head WHERE $1").bind(true);
                assert_eq!(rows.fetch_all(&reads).await.unwrap().len(), 1);
                let row = sqlx::query("SELECT pos FROM log_head WHERE $1").bind(true);
                assert!(row.fetch_optional(&reads).await.unwrap().is_some());
            }
        }
    }
}
