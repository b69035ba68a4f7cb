//! What Debezium makes of a column's DEFAULT: the literal in it, a zero for a function, or nothing.
//!
//! It reads the expression's text (`pg_get_expr`), not its meaning; the oddities below are Debezium's own.

/// How a type's default expressions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultRule {
    /// Debezium gives such columns no default.
    Dropped,
    /// Parentheses around a number are dropped.
    Number,
    /// The same for numerics, among which Java has no NaN and no infinity.
    Decimal,
    /// `true` in any case, and all else is false.
    Boolean,
    /// Whatever is not quoted is the text itself.
    Text,
    /// A keyword (`CURRENT_TIMESTAMP`) is a function.
    Temporal,
    /// A label with one cast.
    Enum,
}

/// The default in PostgreSQL's text form, or `None` if the field has none. `zero` stands for a function's result.
pub(crate) fn value<'a>(expression: &'a str, rule: DefaultRule, zero: &'a str) -> Option<&'a str> {
    let expression = expression.trim();
    if rule == DefaultRule::Dropped || expression.is_empty() || is_null(expression) {
        return None;
    }
    if rule == DefaultRule::Enum {
        return expression.starts_with('\'').then(|| literal(expression)).flatten();
    }
    if is_function_call(expression) {
        return Some(zero);
    }
    let text = literal(expression)?;
    match rule {
        DefaultRule::Decimal if ["NaN", "Infinity", "-Infinity"].contains(&text) => None,
        DefaultRule::Number | DefaultRule::Decimal => Some(text.trim_matches(['(', ')'])),
        DefaultRule::Boolean => Some(if text.eq_ignore_ascii_case("true") || text == "t" {
            "true"
        } else {
            "false"
        }),
        DefaultRule::Temporal if is_keyword(text) => Some(zero),
        _ => Some(text),
    }
}

fn is_null(expression: &str) -> bool {
    expression.eq_ignore_ascii_case("null")
        || expression
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("null::"))
}

/// A name with an opening parenthesis behind it, itself perhaps in one: `now()`, `(random() * 10)`.
fn is_function_call(expression: &str) -> bool {
    let expression = expression.strip_prefix('(').unwrap_or(expression);
    let name = expression
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte))
        .count();
    name > 0 && expression[name..].starts_with('(') && expression[name..].contains(')')
}

/// What stands in the first pair of quotes, or all of it where there is none. A doubled quote ends the literal, a line
/// break makes it none.
fn literal(expression: &str) -> Option<&str> {
    let Some((_, quoted)) = expression.split_once('\'') else {
        return Some(expression);
    };
    let (literal, _) = quoted.split_once('\'')?;
    (!literal.contains(['\n', '\r'])).then_some(literal)
}

fn is_keyword(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !["infinity", "epoch"].contains(&text)
        && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_as_debezium_reads_them() {
        use DefaultRule::{Boolean, Decimal, Dropped, Enum, Number, Temporal, Text};
        let cases = [
            ("'x'::text", Text, Some("x")),
            ("5", Number, Some("5")),
            ("'-5'::integer", Number, Some("-5")),
            ("'-9223372036854775808'::bigint", Number, Some("-9223372036854775808")),
            ("(-7)", Number, Some("-7")),
            ("'1.50'::numeric", Decimal, Some("1.50")),
            ("'NaN'::numeric", Decimal, None),
            ("true", Boolean, Some("true")),
            ("(NOT true)", Boolean, Some("false")),
            ("NULL::character varying", Text, None),
            ("nextval('orders_id_seq'::regclass)", Number, Some("ZERO")),
            ("now()", Temporal, Some("ZERO")),
            ("CURRENT_TIMESTAMP", Temporal, Some("ZERO")),
            ("(now() + '1 day'::interval)", Temporal, Some("ZERO")),
            ("timezone('utc'::text, now())", Temporal, Some("ZERO")),
            ("CURRENT_USER", Text, Some("CURRENT_USER")),
            ("'it''s'::text", Text, Some("it")),
            ("('a'::text || 'b'::text)", Text, Some("a")),
            ("'a\nb'::text", Text, None),
            ("('1 day'::interval * (2)::double precision)", Temporal, Some("1 day")),
            ("(1)::text", Text, Some("(1)::text")),
            ("'sad'::mood", Enum, Some("sad")),
            ("('sad'::text)::mood", Enum, None),
            ("'5'::oid", Dropped, None),
            ("''::text", Text, Some("")),
        ];
        for (expression, rule, expected) in cases {
            assert_eq!(value(expression, rule, "ZERO"), expected, "{expression}");
        }
    }
}
