//! Domain values as parameters and columns.

use std::error::Error as StdError;
use std::str::FromStr;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::Error;
use tenantry_domain::id::{
    ApiKeyId, CredentialId, EntryId, OauthClientId, SessionId, TenantId, TokenId, UserId,
};
use tenantry_domain::ledger::Hash;
use tenantry_domain::scope::Scopes;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::Result;

type Problem = Box<dyn StdError + Sync + Send>;

/// A parameter, whichever of these it is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    /// A number that is never negative. PostgreSQL keeps 63 bits of it, and no count comes near.
    Number(u64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    Id(Uuid),
    Integers(Vec<Option<i64>>),
    Numbers(Vec<u64>),
    Ids(Vec<Uuid>),
    Texts(Vec<String>),
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Problem> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(it) => it.to_sql_checked(ty, out),
            Self::Number(it) => i64::try_from(*it)?.to_sql_checked(ty, out),
            Self::Bool(it) => it.to_sql_checked(ty, out),
            Self::Text(it) => it.to_sql_checked(ty, out),
            Self::Bytes(it) => it.to_sql_checked(ty, out),
            Self::Id(it) => it.to_sql_checked(ty, out),
            Self::Integers(it) => it.to_sql_checked(ty, out),
            Self::Numbers(it) => {
                let numbers: std::result::Result<Vec<_>, _> =
                    it.iter().map(|it| i64::try_from(*it)).collect();
                numbers?.to_sql_checked(ty, out)
            }
            Self::Ids(it) => it.to_sql_checked(ty, out),
            Self::Texts(it) => it.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each kind of value says for itself.
        true
    }

    to_sql_checked!();
}

macro_rules! values {
    ($($from:ty => |$it:ident| $value:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($it: $from) -> Self {
                $value
            }
        })+
    };
}

values! {
    i64 => |it| Self::Integer(it),
    i32 => |it| Self::Integer(i64::from(it)),
    u32 => |it| Self::Integer(i64::from(it)),
    u64 => |it| Self::Number(it),
    bool => |it| Self::Bool(it),
    &str => |it| Self::Text(it.to_owned()),
    String => |it| Self::Text(it),
    &String => |it| Self::Text(it.clone()),
    Vec<u8> => |it| Self::Bytes(it),
    [u8; 32] => |it| Self::Bytes(it.to_vec()),
    Hash => |it| Self::Bytes(it.0.to_vec()),
    Timestamp => |it| Self::Integer(it.as_millis()),
    Uuid => |it| Self::Id(it),
    TenantId => |it| Self::Id(it.as_uuid()),
    UserId => |it| Self::Id(it.as_uuid()),
    ApiKeyId => |it| Self::Id(it.as_uuid()),
    SessionId => |it| Self::Id(it.as_uuid()),
    TokenId => |it| Self::Id(it.as_uuid()),
    OauthClientId => |it| Self::Id(it.as_uuid()),
    CredentialId => |it| Self::Id(it.as_uuid()),
    EntryId => |it| Self::Id(it.as_uuid()),
    Vec<i64> => |it| Self::Integers(it.into_iter().map(Some).collect()),
    Vec<Option<i64>> => |it| Self::Integers(it),
    Vec<u64> => |it| Self::Numbers(it),
    Vec<Uuid> => |it| Self::Ids(it),
    Vec<String> => |it| Self::Texts(it),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use params;

/// JSON, as a text.
pub(crate) fn json_text(value: &impl Serialize) -> Result<Value> {
    Ok(Value::Text(serde_json::to_string(value).map_err(Error::internal)?))
}

/// A value as the audit log tells it.
pub(crate) fn json(value: &impl Serialize) -> Result<serde_json::Value> {
    Ok(serde_json::to_value(value).map_err(Error::internal)?)
}

/// Declares how a column of a type of PostgreSQL's is read as one of ours.
macro_rules! column {
    ($(#[$doc:meta])* $name:ident$(<$generic:ident: $bound:path $(: $more:path)*>)?($inner:ty) from $base:ty, |$it:ident| $read:expr) => {
        $(#[$doc])*
        pub(crate) struct $name$(<$generic>)?(pub(crate) $inner);

        impl<'a, $($generic: $bound $(+ $more)*)?> FromSql<'a> for $name$(<$generic>)? {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Problem> {
                let $it = <$base>::from_sql(ty, raw)?;
                Ok(Self($read))
            }

            fn accepts(ty: &Type) -> bool {
                <$base as FromSql<'a>>::accepts(ty)
            }
        }
    };
}

/// A word of a fixed vocabulary.
pub(crate) trait Vocabulary: FromStr<Err = String> {}
impl<T: FromStr<Err = String>> Vocabulary for T {}

column! {
    /// An instant, as milliseconds.
    At(Timestamp) from i64, |it| Timestamp::from_millis(it)
}
column! {
    /// A number that is never negative.
    Number(u64) from i64, |it| u64::try_from(it)?
}
column! {
    /// JSON, as a text.
    Json<T: DeserializeOwned>(T) from &'a str, |it| serde_json::from_str(it)?
}
column! {
    /// A word of a fixed vocabulary, by its name.
    Word<T: Vocabulary>(T) from &'a str, |it| it.parse()?
}
column! {
    /// Scopes, by the line that keeps them.
    ScopeLine(Scopes) from &'a str, |it| Scopes::parse(it.split_whitespace())?
}

/// Bytes of a fixed length.
pub(crate) struct Fixed<const N: usize>(pub(crate) [u8; N]);

impl<'a, const N: usize> FromSql<'a> for Fixed<N> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Problem> {
        Ok(Self(<&[u8]>::from_sql(ty, raw)?.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        <&[u8] as FromSql<'a>>::accepts(ty)
    }
}

/// Reads the columns of a row as ours.
pub(crate) trait Columns {
    fn at(&self, column: usize) -> Result<Timestamp>;
    fn at_if_any(&self, column: usize) -> Result<Option<Timestamp>>;
    fn number(&self, column: usize) -> Result<u64>;
    fn number_if_any(&self, column: usize) -> Result<Option<u64>>;
    fn hash(&self, column: usize) -> Result<Hash>;
    /// The columns of [`Counts`], from this one on.
    fn counts(&self, first: usize) -> Result<Counts>;
}

impl Columns for Row {
    fn at(&self, column: usize) -> Result<Timestamp> {
        Ok(self.try_get::<_, At>(column)?.0)
    }

    fn at_if_any(&self, column: usize) -> Result<Option<Timestamp>> {
        Ok(self.try_get::<_, Option<At>>(column)?.map(|at| at.0))
    }

    fn number(&self, column: usize) -> Result<u64> {
        Ok(self.try_get::<_, Number>(column)?.0)
    }

    fn number_if_any(&self, column: usize) -> Result<Option<u64>> {
        Ok(self.try_get::<_, Option<Number>>(column)?.map(|number| number.0))
    }

    fn hash(&self, column: usize) -> Result<Hash> {
        Ok(Hash(self.try_get::<_, Fixed<32>>(column)?.0))
    }

    fn counts(&self, first: usize) -> Result<Counts> {
        let mut numbers = [0; Counts::LEN];
        for (column, number) in (first..).zip(&mut numbers) {
            *number = self.number(column)?;
        }
        Ok(Counts::from_array(numbers))
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
