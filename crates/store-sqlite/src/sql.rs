//! Domain values as columns and back.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::scope::Scopes;
use uuid::Uuid;

use crate::error::Result;

/// A column's value, whichever of these it is.
pub(crate) use rusqlite::types::Value;

/// A UUID as its 16 bytes.
pub(crate) struct Id(pub(crate) Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        Uuid::from_slice(bytes).map(Self).map_err(FromSqlError::other)
    }
}

/// A tenant's id as a parameter.
pub(crate) fn tenant_id(tenant: TenantId) -> Id {
    Id(tenant.as_uuid())
}

/// A UUID as a column's value.
pub(crate) fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// Text that may be absent, as a column's value.
pub(crate) fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// An instant that may be absent, as a column's value.
pub(crate) fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::Integer(at.as_millis()))
}

/// A number that is never negative, as a column's value.
pub(crate) fn number(number: u64) -> Result<Value> {
    Ok(Value::Integer(i64::try_from(number).map_err(Error::internal)?))
}

/// A value as the audit log tells it.
pub(crate) fn json(value: &impl Serialize) -> Result<serde_json::Value> {
    Ok(serde_json::to_value(value).map_err(Error::internal)?)
}

/// Scopes, from the line that keeps them.
pub(crate) fn scopes(row: &Row<'_>, column: usize) -> rusqlite::Result<Scopes> {
    let line: String = row.get(column)?;
    Scopes::parse(line.split_whitespace()).map_err(unreadable)
}

/// A stored text that does not read back.
pub(crate) fn unreadable(problem: String) -> rusqlite::Error {
    FromSqlError::Other(problem.into()).into()
}

/// JSON, as a column's value.
pub(crate) fn json_text(value: &impl Serialize) -> Result<Value> {
    Ok(Value::Text(serde_json::to_string(value).map_err(Error::internal)?))
}

/// An instant as milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) Timestamp);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_millis().into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Timestamp::from_millis).map(Self)
    }
}

/// A number that is never negative. SQLite keeps 63 bits, and no count comes near.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = i64::try_from(self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(number.into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

/// JSON as text.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let json = serde_json::to_string(&self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(json.into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A word of a fixed vocabulary, by its name.
pub(crate) struct Word<T>(pub(crate) T);

impl<T: FromStr<Err = String>> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|problem| FromSqlError::Other(problem.into()))
    }
}

/// Bytes of a fixed length.
pub(crate) struct Fixed<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> FromSql for Fixed<N> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        let wrong = FromSqlError::InvalidBlobSize { expected_size: N, blob_size: bytes.len() };
        bytes.try_into().map(Self).map_err(|_| wrong)
    }
}

/// The columns of [`Counts`], in its order.
macro_rules! count_columns {
    () => {
        "users_active, users_inactive, admins, credentials_active, credentials_expired, \
         api_keys_active, api_keys_expired, api_keys_revoked, oauth_clients_active, \
         oauth_clients_disabled"
    };
}
pub(crate) use count_columns;

/// Reads the columns of [`Counts`] from this one on.
pub(crate) fn counts(row: &Row<'_>, first: usize) -> rusqlite::Result<Counts> {
    let mut numbers = [0; Counts::LEN];
    for (column, number) in (first..).zip(&mut numbers) {
        *number = row.get::<_, Number>(column)?.0;
    }
    Ok(Counts::from_array(numbers))
}

/// The row, if there is one.
pub(crate) fn optional<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(connection.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// The one row that there always is.
pub(crate) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T> {
    Ok(connection.prepare_cached(sql)?.query_row(params, read)?)
}

/// All rows.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?.collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Whether there is a row.
pub(crate) fn exists(connection: &Connection, sql: &str, values: impl Params) -> Result<bool> {
    Ok(optional(connection, sql, values, |_| Ok(()))?.is_some())
}

/// Runs a statement; answers how many rows it changed.
pub(crate) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
