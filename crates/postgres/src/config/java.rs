//! Java's regular expressions in Rust's: what configurations were written for, in the engine that is here.
//!
//! Where both write the same and mean the same, nothing is done. Where they mean different things, Java's meaning is spelt
//! out: `\d`, `\w`, `\s` and `\p{Alpha}` are ASCII's, and without case means ASCII's letters only. What Rust's engine cannot
//! do (look-around, back-references) is its own error; what it would silently do otherwise (possessive quantifiers) is one
//! here. Pure.

/// Java's named ASCII classes, and Rust's names for them.
const CLASSES: [(&str, &str); 13] = [
    ("Lower", "lower"),
    ("Upper", "upper"),
    ("ASCII", "ascii"),
    ("Alpha", "alpha"),
    ("Digit", "digit"),
    ("Alnum", "alnum"),
    ("Punct", "punct"),
    ("Graph", "graph"),
    ("Print", "print"),
    ("Blank", "blank"),
    ("Cntrl", "cntrl"),
    ("XDigit", "xdigit"),
    ("Space", "space"),
];

/// The same expression for Rust's engine; an error names what Java has and Rust has not.
pub(super) fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut translation = Translation {
        rest: pattern,
        out: String::with_capacity(pattern.len()),
        class_depth: 0,
        quantified: false,
    };
    while let Some(c) = translation.rest.chars().next() {
        translation.rest = &translation.rest[c.len_utf8()..];
        translation.take(c)?;
    }
    Ok(translation.out)
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
    class_depth: usize,
    /// The last thing was a quantifier.
    quantified: bool,
}

impl Translation<'_> {
    fn take(&mut self, c: char) -> Result<(), &'static str> {
        let after_quantifier = std::mem::take(&mut self.quantified);
        match c {
            '\\' => self.escape(),
            _ if self.class_depth > 0 => self.in_class(c),
            '[' => {
                self.class_depth = 1;
                self.out.push(c);
                self.first_of_class();
            }
            '+' if after_quantifier => return Err("possessive quantifiers, such as a++, are not supported"),
            '*' | '+' | '?' | '}' => {
                // A `?` behind a quantifier makes it lazy, and behind `(` begins a group's flags.
                self.quantified = !(c == '?' && (after_quantifier || self.out.ends_with('(')));
                self.out.push(c);
            }
            _ => self.literal(c),
        }
        Ok(())
    }

    fn in_class(&mut self, c: char) {
        match c {
            '[' => {
                self.class_depth += 1;
                self.out.push(c);
                self.first_of_class();
            }
            ']' => {
                self.class_depth -= 1;
                self.out.push(c);
            }
            _ => self.out.push(c),
        }
    }

    /// `^` negates, and a `]` right behind is itself, in both languages.
    fn first_of_class(&mut self) {
        for first in ['^', ']'] {
            if let Some(rest) = self.rest.strip_prefix(first) {
                self.rest = rest;
                self.out.push_str(if first == ']' { r"\]" } else { "^" });
            }
        }
    }

    /// Java folds the case of ASCII's letters alone.
    fn literal(&mut self, c: char) {
        match !c.is_ascii() && c.is_alphabetic() {
            true => self.out.push_str(&format!("(?-i:{c})")),
            false => self.out.push(c),
        }
    }

    fn escape(&mut self) {
        let Some(c) = self.rest.chars().next() else {
            return self.out.push('\\');
        };
        self.rest = &self.rest[c.len_utf8()..];
        let ascii = |inside: &str, negated: &str| match self.class_depth > 0 {
            true if negated.is_empty() => inside.to_owned(),
            _ => format!("[{negated}{inside}]"),
        };
        match c {
            'd' => self.out += &ascii("0-9", ""),
            'D' => self.out += &ascii("0-9", "^"),
            'w' => self.out += &ascii("0-9A-Za-z_", ""),
            'W' => self.out += &ascii("0-9A-Za-z_", "^"),
            's' => self.out += &ascii(r"\t\n\x0B\f\r\x20", ""),
            'S' => self.out += &ascii(r"\t\n\x0B\f\r\x20", "^"),
            'Z' => self.out.push_str(r"\z"),
            'Q' => self.quoted(),
            'p' | 'P' => self.named_class(c),
            'x' | 'u' => self.braced(c),
            // Rust's beginnings and ends of words; characters in Java.
            '<' | '>' => self.out.push(c),
            _ if c.is_ascii() => {
                self.out.push('\\');
                self.out.push(c);
            }
            _ => self.literal(c),
        }
    }

    /// `\Q…\E`: all of it is itself.
    fn quoted(&mut self) {
        let (inner, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        for c in inner.chars() {
            match c.is_ascii() {
                true => self.out += &regex::escape(c.encode_utf8(&mut [0; 4])),
                false => self.literal(c),
            }
        }
    }

    fn named_class(&mut self, kind: char) {
        let named = CLASSES.iter().find_map(|(java, rust)| {
            let rest = self.rest.strip_prefix('{')?.strip_prefix(java)?.strip_prefix('}')?;
            Some((rust, rest))
        });
        match named {
            Some((name, rest)) => {
                self.rest = rest;
                let negation = if kind == 'P' { "^" } else { "" };
                let class = format!("[:{negation}{name}:]");
                self.out += &if self.class_depth > 0 {
                    class
                } else {
                    format!("[{class}]")
                };
            }
            None => self.braced(kind),
        }
    }

    /// `\p{Lu}`, `\x{41}`: what stands in the braces belongs to the escape.
    fn braced(&mut self, kind: char) {
        self.out.push('\\');
        self.out.push(kind);
        if self.rest.starts_with('{')
            && let Some(end) = self.rest.find('}')
        {
            let (braces, rest) = self.rest.split_at(end + 1);
            self.out.push_str(braces);
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_stays_and_what_does_not_is_spelt_out() {
        for (java, rust) in [
            (r"public\.orders_.*", r"public\.orders_.*"),
            (r"a{1,2}?b*?c+?", r"a{1,2}?b*?c+?"),
            (r"(?i:a)(?:b)?", r"(?i:a)(?:b)?"),
            (r"s\.\w+\d", r"s\.[0-9A-Za-z_]+[0-9]"),
            (r"[\w-]\W[^\D]", r"[0-9A-Za-z_-][^0-9A-Za-z_][^[^0-9]]"),
            (r"[]a][^]a]", r"[\]a][^\]a]"),
            (r"\Qa.b\E.*", r"a\.b.*"),
            (r"\Qa|b", r"a\|b"),
            (r"\p{Lower}[\p{Alpha}_]\P{Digit}", "[[:lower:]][[:alpha:]_][[:^digit:]]"),
            (r"\<a\>\Z", r"<a>\z"),
            (r"\p{Lu}+\x{41}+", r"\p{Lu}+\x{41}+"),
            ("ä+", "(?-i:ä)+"),
        ] {
            assert_eq!(translate(java).as_deref(), Ok(rust), "{java}");
            assert!(regex::Regex::new(rust).is_ok(), "{rust}");
        }
    }

    #[test]
    fn what_would_silently_match_more_is_an_error() {
        for java in ["a++", "a*+b", "a?+", "a{2}+"] {
            assert!(translate(java).is_err(), "{java}");
        }
        assert!(translate(r"a\++").is_ok(), "an escaped plus is no quantifier");
    }
}
