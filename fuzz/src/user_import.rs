//! Imports of users: each line is read by itself, each problem is one of a line that there is, and users
//! written down again, in either format, are the same users.

use serde_json::json;
use tenantry_domain::error::{Error, LineError, Result};
use tenantry_service::{PROBLEMS_TOLD, UserDraft};
use tenantry_web::fuzzing::{read_csv, read_ndjson};

/// A user as it was read: the columns of a CSV file.
type Row = [String; 6];

const COLUMNS: [&str; 6] = ["email", "name", "status", "roles", "externalRealm", "externalSubject"];

/// What is said of a line that has what one before it has.
const AGAIN: &str = " again";

/// Reads a text in both formats.
pub fn check(input: &[u8]) -> bool {
    let ndjson = rows(input, read_ndjson);
    let alone = |line: &[u8]| rows(line, read_ndjson).err();
    lines_are_alone(input.split(|byte| *byte == b'\n').zip(1..), &ndjson, alone);

    let csv = rows(input, read_csv);
    csv_lines_are_alone(input, &csv);

    for rows in [&ndjson, &csv].into_iter().flatten() {
        written_again(rows);
    }
    // Nothing at all is no user in NDJSON, and no bad line.
    ndjson.is_ok_and(|rows| !rows.is_empty()) || csv.is_ok()
}

/// The users or the problems, each of which must be one that can be.
fn rows(
    input: &[u8],
    read: impl Fn(&[u8]) -> Result<Vec<UserDraft>>,
) -> Result<Vec<Row>, Vec<LineError>> {
    let lines = input.split(|byte| *byte == b'\n').count();
    match read(input) {
        Ok(drafts) => {
            // A carriage return ends a line of CSV as well.
            assert!(drafts.len() <= input.split(|byte| b"\r\n".contains(byte)).count());
            let rows: Vec<_> = drafts.into_iter().map(row).collect();
            assert_eq!(repeated(rows.iter().map(|row| tenantry_domain::text::fold(&row[0]))), None);
            let external = rows.iter().filter(|row| !row[4].is_empty());
            assert_eq!(repeated(external.map(|row| (&row[4], &row[5]))), None);
            Ok(rows)
        }
        Err(Error::InvalidLines { lines: problems, total }) => {
            assert!(!problems.is_empty() && problems.len() <= PROBLEMS_TOLD);
            assert_eq!(problems.len() as u64, total.min(PROBLEMS_TOLD as u64));
            assert!(problems.is_sorted_by_key(|problem| problem.line));
            for problem in &problems {
                assert!((1..=lines as u64).contains(&problem.line), "{problem:?} of {lines}");
                assert!(!problem.problem.is_empty(), "{problem:?}");
            }
            Err(problems)
        }
        Err(other) => unreachable!("{other:?}"),
    }
}

fn row(draft: UserDraft) -> Row {
    assert!(draft.password.is_none());
    let (realm, subject) = draft.external_id.map(|it| (it.realm, it.subject)).unwrap_or_default();
    [
        draft.email.as_str().to_owned(),
        draft.name.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        draft.status.as_str().to_owned(),
        draft.roles.names().join(" "),
        realm,
        subject,
    ]
}

fn repeated<T: Ord>(items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().find_map(|item| seen.replace(item))
}

/// Whether the problems are those that the lines have alone, but for what lines have in common.
fn lines_are_alone<'a>(
    lines: impl Iterator<Item = (&'a [u8], u64)>,
    whole: &Result<Vec<Row>, Vec<LineError>>,
    alone: impl Fn(&[u8]) -> Option<Vec<LineError>>,
) {
    let problems = whole.as_ref().err().map(Vec::as_slice).unwrap_or_default();
    if problems.len() == PROBLEMS_TOLD {
        return;
    }
    let own: Vec<_> = problems.iter().filter(|it| !it.problem.ends_with(AGAIN)).cloned().collect();
    let expected: Vec<_> = lines
        .flat_map(|(line, number)| {
            let problems = alone(line).unwrap_or_default();
            problems.into_iter().map(move |problem| LineError { line: number, ..problem })
        })
        .collect();
    assert_eq!(own, expected);
}

/// The same for CSV, where no cell goes on in the next line and no line ends within itself.
fn csv_lines_are_alone(input: &[u8], whole: &Result<Vec<Row>, Vec<LineError>>) {
    let mut text = input;
    while let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
        text = rest;
    }
    if text.contains(&b'"') || text.contains(&b'\r') {
        return;
    }
    let mut lines = text.split(|byte| *byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
    let Some((header, number)) = lines.next() else {
        let problems = whole.as_ref().expect_err("there is no header");
        assert_eq!((problems.len(), problems[0].line), (1, 1));
        return;
    };
    // At the start of a text it might begin with a mark that is none here.
    let header = [b"\n", header, b"\n"].concat();
    if let Err(problems) = rows(&header, read_csv) {
        let whole = whole.as_ref().expect_err("the header is wrong");
        let moved = |problem: LineError| LineError { line: number, ..problem };
        assert_eq!(*whole, problems.into_iter().map(moved).collect::<Vec<_>>());
        return;
    }
    lines_are_alone(lines, whole, |line| rows(&[&header, line].concat(), read_csv).err());
}

fn written_again(rows: &[Row]) {
    let lines: Vec<_> = rows.iter().map(as_json).collect();
    let again = self::rows(lines.join("\n").as_bytes(), read_ndjson);
    assert_eq!(again.as_deref(), Ok(rows));

    // An empty cell is an absent one, and somebody of whom no role is told is a member.
    if rows.iter().all(|row| !row[3].is_empty()) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS).expect("memory");
        for row in rows {
            writer.write_record(row).expect("memory");
        }
        let again = self::rows(&writer.into_inner().expect("memory"), read_csv);
        assert_eq!(again.as_deref(), Ok(rows));
    }
}

fn as_json([email, name, status, roles, realm, subject]: &Row) -> String {
    let roles: Vec<_> = roles.split_whitespace().collect();
    let mut user = json!({"email": email, "status": status, "roles": roles});
    if !name.is_empty() {
        user["name"] = json!(name);
    }
    if !realm.is_empty() {
        user["externalId"] = json!({"realm": realm, "subject": subject});
    }
    user.to_string()
}
