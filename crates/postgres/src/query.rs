//! SQL as text in, rows as text out: the simple query protocol, for the catalog and for replication commands.
//!
//! Results are small (catalogs) and bounded; table data never goes this way (`copy.rs`). Values are put into statements
//! only through [`literal`] and [`identifier`].

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::connection::{Connection, error::ConnectionError, unexpected};

/// Bytes of values in one result. A catalog of 100,000 columns is about 20 MB.
const RESULT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One row: a text or NULL for each column.
pub(crate) type Row = Vec<Option<String>>;

impl Connection {
    /// Runs the statements and returns the rows of all of them. On an error of the server the session goes on (unless
    /// the error was fatal). If the future is dropped half-way the session is out of step: drop it too.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, ConnectionError> {
        self.send_query(sql).await?;
        let rows = self.read_rows().await;
        self.in_step(rows).await
    }

    /// The first row of the result.
    pub(crate) async fn query_row(&mut self, sql: &str) -> Result<Option<Row>, ConnectionError> {
        Ok(self.query(sql).await?.into_iter().next())
    }

    /// The names of a query's columns, without running it.
    pub(crate) async fn result_columns(&mut self, select: &str) -> Result<Vec<String>, ConnectionError> {
        self.send_query(&format!("SELECT * FROM ({select}) AS result LIMIT 0"))
            .await?;
        let names = self.read_columns().await;
        self.in_step(names).await
    }

    /// The answer, once the session is ready for the next query.
    async fn in_step<T>(&mut self, answer: Result<T, ConnectionError>) -> Result<T, ConnectionError> {
        match answer {
            Err(error) => Err(self.after_error(error).await),
            answer => answer,
        }
    }

    async fn read_columns(&mut self) -> Result<Vec<String>, ConnectionError> {
        let mut names = Vec::new();
        loop {
            let frame = self.receive().await?;
            match frame.tag {
                b'T' => names = parse_names(self.body(frame))?,
                b'D' | b'C' | b'I' => {}
                b'Z' => return Ok(names),
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }

    /// Sends a simple query without reading its answer.
    pub(crate) async fn send_query(&mut self, sql: &str) -> Result<(), ConnectionError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)?;
        self.send(&message).await
    }

    /// Reads on until the session is ready for the next query, and returns the error. A fatal one has ended the session.
    pub(crate) async fn after_error(&mut self, error: ConnectionError) -> ConnectionError {
        if matches!(&error, ConnectionError::Server(server) if !server.fatal) {
            while let Ok(frame) = self.receive().await {
                if frame.tag == b'Z' {
                    break;
                }
            }
        }
        error
    }

    async fn read_rows(&mut self) -> Result<Vec<Row>, ConnectionError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        loop {
            let frame = self.receive().await?;
            match frame.tag {
                b'T' | b'C' | b'I' => {}
                b'D' => {
                    bytes += self.body(frame).len();
                    if bytes > RESULT_BYTES_MAX {
                        return Err(ConnectionError::protocol("a catalog result of more than 256 MiB"));
                    }
                    rows.push(parse_row(self.body(frame))?);
                }
                b'Z' => return Ok(rows),
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }
}

/// The names in the body of a RowDescription: each is a C string, and eighteen bytes more.
fn parse_names(body: &[u8]) -> Result<Vec<String>, ConnectionError> {
    let broken = || ConnectionError::protocol("a row description that does not hold what it claims");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or_else(broken)?;
    let mut names = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(broken)?;
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = rest.get(end + 1 + 18..).ok_or_else(broken)?;
    }
    Ok(names)
}

/// The body of a DataRow.
fn parse_row(body: &[u8]) -> Result<Row, ConnectionError> {
    let broken = || ConnectionError::protocol("a row that does not hold what it claims");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or_else(broken)?;
    let mut row = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)));
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length).ok_or_else(broken)?;
        row.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(row)
}

/// A field of a row as a text; empty for NULL and for a column that is not there.
pub(crate) fn text(row: &Row, column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

/// A field of a row as a boolean.
pub(crate) fn flag(row: &Row, column: usize) -> bool {
    text(row, column) == "t"
}

/// A field of a row as a number; an error names what it should have been.
pub(crate) fn number<T: std::str::FromStr>(row: &Row, column: usize, what: &str) -> Result<T, ConnectionError> {
    text(row, column)
        .parse()
        .map_err(|_| ConnectionError::protocol(format!("the server's answer for {what} is not a number")))
}

/// Quotes a name for SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text for SQL. `standard_conforming_strings` is on in every session of ours.
pub(crate) fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// `"schema"."table"`.
pub(crate) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(identifier("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(literal("o'clock\\"), "'o''clock\\'");
    }

    #[test]
    fn a_row_description_gives_its_names() {
        let field = |name: &str| [name.as_bytes(), &[0; 19]].concat();
        let body = [&[0, 2][..], &field("a"), &field("b c")].concat();
        assert_eq!(parse_names(&body).expect("sound"), ["a", "b c"]);
        for broken in [&b""[..], b"\0\x01", b"\0\x01ab", &body[..body.len() - 1]] {
            assert!(parse_names(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_row_that_lies_about_its_size_is_an_error() {
        assert_eq!(
            parse_row(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff").expect("sound"),
            vec![Some("a".to_owned()), None]
        );
        for broken in [
            &b""[..],
            b"\0\x01",
            b"\0\x01\0\0\0\x05abc",
            b"\xff\xff\0\0\0\x01a",
            b"\0\x01\x7f\xff\xff\xff",
        ] {
            assert!(parse_row(broken).is_err(), "{broken:?}");
        }
    }
}
