//! Importing users: the lines of a file, each read as a user to be made is read anywhere else.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tenantry_domain::error::{Error, FieldError, Result};
use tenantry_domain::scope::Scope;
use tenantry_domain::text::Email;
use tenantry_domain::user::{ExternalId, Identity};
use tenantry_service::{UserDraft, UserImport};
use utoipa::ToSchema;

use super::change::Change;
use super::users::read_new;
use super::{Answer, unless_missing};
use crate::app::App;
use crate::envelope::{Success, ok};
use crate::error::ApiError;
use crate::extract::import_body::{Format, ImportBody};
use crate::extract::members::Members;
use crate::extract::query::Query;
use crate::extract::scope::TenantScope;

/// The columns of a CSV file.
const COLUMNS: [&str; 6] = ["email", "name", "status", "roles", "externalRealm", "externalSubject"];
/// What a problem of a line as a whole is told of.
const LINE: &str = "line";
/// The most bytes of a line of NDJSON: more than any user takes, however its text is escaped, and
/// little enough that a line of nothing but mistakes takes no memory to speak of.
const LINE_MAX: usize = 16 * 1024;

/// What an import made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportedUsers)]
pub(crate) struct ImportedBody {
    /// How many users were made.
    #[schema(minimum = 1, maximum = 50_000)]
    imported: u64,
}

/// Import users
///
/// All of them in one transaction and as one entry of the audit log, or none if there is one bad
/// line: then `error.lines` names every problem with its line, up to 1,000 of them, and
/// `error.linesTotal` how many there are. At most 50,000 users, in at most 32 MiB.
///
/// NDJSON: a `NewUser` without `password` on each line. CSV (RFC 4180): a header with `email` and
/// any of `name`, `status`, `roles` (with spaces or semicolons between them), `externalRealm` and
/// `externalSubject`; an empty cell is absent. A line whose e-mail or external id a user of the
/// tenant or a line before it has is a bad one.
#[utoipa::path(
    post,
    path = "/admin/tenants/{tenantId}/users/import",
    operation_id = "importUsers",
    tag = "Users",
    request_body(content(
        (String = "application/x-ndjson"),
        (String = "application/ndjson"),
        (String = "text/csv")
    )),
    responses((status = 200, description = "How many.", body = Success<ImportedBody>)),
    extensions(("x-tenantry-access" = json!("users:write")))
)]
pub(crate) async fn import(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
    body: ImportBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        let (format, bytes) = body.read(&app).await?;
        let parsed = tokio::task::spawn_blocking(move || parse(format, &bytes)).await;
        Ok::<_, ApiError>(parsed.map_err(Error::internal)?)
    };
    let import = unless_missing(said.await, app.service.tenant(&access)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, imported: &u64| {
        ok(at, "Users imported successfully", ImportedBody { imported: *imported })
    })?;
    change.answer(&app, app.service.import_users(&change.access, import)).await
}

/// Reads the lines, up to the first that is too many.
pub(crate) fn parse(format: Format, text: &Bytes) -> UserImport {
    match format {
        Format::Ndjson => parse_ndjson(text),
        Format::Csv => parse_csv(text),
    }
}

fn parse_ndjson(text: &Bytes) -> UserImport {
    let mut import = UserImport::new("externalId");
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_line(text, line) {
            Ok(members) => add(&mut import, number, members, FieldError::clone),
            Err(problem) => import.add_unreadable(number, LINE, problem),
        }
        if import.is_too_long() {
            break;
        }
    }
    import
}

fn read_line(text: &Bytes, line: &[u8]) -> Result<Members, String> {
    if line.len() > LINE_MAX {
        return Err(format!("must have at most {LINE_MAX} bytes"));
    }
    Members::parse(text.slice_ref(line)).map_err(|error| match error {
        Error::Invalid(_) => "must be a JSON object".to_owned(),
        _ => "must be JSON that repeats no member".to_owned(),
    })
}

fn parse_csv(text: &[u8]) -> UserImport {
    let mut import = UserImport::new("externalSubject");
    let text = without_mark(text);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut lines = LineCounter { text, line: 1, at: 0 };
    let mut record = csv::ByteRecord::new();
    let mut columns: Option<Vec<&'static str>> = None;
    // Reading from memory does not fail, and a record can have any number of cells of any bytes.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let number = lines.line_of(&record);
        let ends = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let begins = record.position().map_or(0, csv::Position::byte);
        let raw = usize::try_from(begins).ok().and_then(|begins| text.get(begins..ends));
        if !raw.is_some_and(is_well_quoted) {
            let problem = "must have its quotes as RFC 4180 says";
            import.add_unreadable(number, LINE, problem);
            if import.is_too_long() {
                break;
            }
            continue;
        }
        let Some(columns) = &columns else {
            match read_header(&mut import, number, &record) {
                Some(known) => columns = Some(known),
                None => return import,
            }
            continue;
        };
        match read_cells(columns, &record) {
            Ok(members) => add(&mut import, number, members, in_columns),
            Err(problem) => import.add_unreadable(number, LINE, problem),
        }
        if import.is_too_long() {
            break;
        }
    }
    if columns.is_none() {
        import.problem(1, LINE, "must be a header that names the columns");
    }
    import
}

/// Without the mark that spreadsheets begin UTF-8 with, however often it is there: what is left of it, the
/// library would skip, and positions would be of another text.
fn without_mark(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
        text = rest;
    }
    text
}

/// Whether quotes stand around whole cells alone, and every one is closed: the library takes others as
/// well, and a file that was cut off would pass for a whole one.
fn is_well_quoted(record: &[u8]) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        /// A quote within quotes: their end, or half of one that is meant.
        Closing,
    }
    let mut at = At::Start;
    for byte in record {
        at = match (at, *byte) {
            (At::Quoted, b'"') => At::Closing,
            (At::Start | At::Closing, b'"') | (At::Quoted, _) => At::Quoted,
            (_, b',' | b'\r' | b'\n') => At::Start,
            (At::Start | At::Plain, byte) if byte != b'"' => At::Plain,
            _ => return false,
        };
    }
    at != At::Quoted
}

/// The columns, unless there is something wrong with them.
fn read_header(
    import: &mut UserImport,
    number: u64,
    record: &csv::ByteRecord,
) -> Option<Vec<&'static str>> {
    if record.len() > COLUMNS.len() {
        let most = COLUMNS.len();
        import.problem(number, LINE, format!("must have at most {most} columns"));
        return None;
    }
    let mut columns = Vec::new();
    let mut good = true;
    for cell in record {
        let known = COLUMNS.iter().find(|column| column.as_bytes() == cell);
        let problem = match known {
            None => "is not a column of this import",
            Some(column) if columns.contains(column) => "must be given once",
            Some(column) => {
                columns.push(*column);
                continue;
            }
        };
        good = false;
        // What somebody else wrote is told back in bounds.
        let name: String = String::from_utf8_lossy(cell).chars().take(64).collect();
        import.problem(number, name, problem);
    }
    if !columns.contains(&"email") {
        good = false;
        import.problem(number, "email", "is required");
    }
    good.then_some(columns)
}

/// The cells of a record as the members that a JSON object would have.
fn read_cells(columns: &[&'static str], record: &csv::ByteRecord) -> Result<Members, String> {
    if record.len() != columns.len() {
        return Err(format!("must have {} cells, as the header has", columns.len()));
    }
    let mut values = Map::new();
    let mut external = Map::new();
    for (column, cell) in columns.iter().zip(record) {
        let cell = std::str::from_utf8(cell).map_err(|_| "must be in UTF-8".to_owned())?;
        if cell.is_empty() {
            continue;
        }
        match *column {
            "externalRealm" => external.insert("realm".to_owned(), json!(cell)),
            "externalSubject" => external.insert("subject".to_owned(), json!(cell)),
            "roles" => {
                let roles = cell.split([' ', ';']).filter(|role| !role.is_empty());
                values.insert("roles".to_owned(), roles.collect())
            }
            column => values.insert(column.to_owned(), json!(cell)),
        };
    }
    if !external.is_empty() {
        values.insert("externalId".to_owned(), Value::Object(external));
    }
    Ok(Members::of(values))
}

/// A problem of a member as one of the column that it comes from.
fn in_columns(error: &FieldError) -> FieldError {
    let field = match error.field.as_str() {
        "externalId.realm" => "externalRealm",
        "externalId.subject" => "externalSubject",
        field => field,
    };
    FieldError { field: field.to_owned(), problem: error.problem.clone() }
}

fn add(
    import: &mut UserImport,
    number: u64,
    mut members: Members,
    rename: impl Fn(&FieldError) -> FieldError,
) {
    let identity = identity(&members);
    members.refuse("password", "must not be imported");
    let read: Result<UserDraft, _> = match read_new(members) {
        Ok(draft) => Ok(draft),
        Err(Error::Invalid(fields)) => Err(fields.iter().map(rename).collect()),
        Err(other) => Err(vec![FieldError { field: LINE.to_owned(), problem: other.to_string() }]),
    };
    import.add(number, identity, read);
}

/// Who a line says the user is, whatever else is wrong with it.
fn identity(members: &Members) -> Identity {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let external = members.peek("externalId");
    let part = |name| text(external.and_then(|external| external.get(name)));
    Identity {
        email: text(members.peek("email")).and_then(|email| Email::parse(&email).ok()),
        external_id: part("realm")
            .zip(part("subject"))
            .map(|(realm, subject)| ExternalId { realm, subject }),
    }
}

/// Counts lines as a text editor does. The library counts from where it stopped reading, before
/// empty lines and the second half of a line break.
struct LineCounter<'a> {
    text: &'a [u8],
    line: u64,
    at: usize,
}

impl LineCounter<'_> {
    /// The line on which a record begins; records come in their order.
    fn line_of(&mut self, record: &csv::ByteRecord) -> u64 {
        let from = record.position().map_or(0, csv::Position::byte);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = self.text.get(from..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = from + blank;
        let passed = self.text.get(self.at..begin).unwrap_or_default();
        self.line += passed.split(|byte| *byte == b'\n').skip(1).count() as u64;
        self.at = begin;
        self.line
    }
}
