//! Reads a [`crate::predicate::Predicate`], and says where it cannot be read.

use serde_json::Value;

use crate::predicate::{Comparison, Field, Operand, Test};

/// How many parentheses and `not` may stand in each other.
const DEEPEST: usize = 64;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name or a word of the language.
    Word(String),
    Text(String),
    Number(f64),
    Symbol(&'static str),
}

/// What is wrong, and before which letter.
struct Trouble {
    place: usize,
    what: String,
}

type Parsed<T> = Result<T, Trouble>;

/// The test a text says, or what is wrong with it.
///
/// # Errors
/// What is wrong, the column, and the text with a mark under it.
pub(crate) fn parse(text: &str) -> Result<Test, String> {
    let letters: Vec<char> = text
        .chars()
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .collect();
    let read = || -> Parsed<Test> {
        let mut parser = Parser {
            tokens: tokens(&letters)?,
            next: 0,
            end: letters.len(),
            depth: 0,
        };
        let test = parser.any()?;
        match parser.peek() {
            None => Ok(test),
            Some(_) => Err(parser.expected("`and`, `or` or the end")),
        }
    };
    read().map_err(|Trouble { place, what }| {
        let line: String = letters.iter().collect();
        format!(
            "{what} at column {}\n  {}\n  {}^",
            place + 1,
            line.trim_end(),
            " ".repeat(place)
        )
    })
}

/// Longer ones first.
const SYMBOLS: [&str; 16] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", "=", "-",
];

fn tokens(letters: &[char]) -> Parsed<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut place = 0;
    while let Some(&letter) = letters.get(place) {
        let rest = &letters[place..];
        let (length, token) = if letter == ' ' {
            place += 1;
            continue;
        } else if letter == '"' || letter == '\'' {
            quoted(rest).ok_or_else(|| Trouble {
                place,
                what: format!("a text that begins with {letter} and does not end with it"),
            })?
        } else if letter.is_ascii_digit()
            || letter == '-' && rest.get(1).is_some_and(char::is_ascii_digit)
        {
            number(rest, place)?
        } else if letter.is_alphabetic() || letter == '_' || letter == '$' {
            let length = rest
                .iter()
                .position(|one| !(one.is_alphanumeric() || "_-.$".contains(*one)))
                .unwrap_or(rest.len());
            (length, Token::Word(rest[..length].iter().collect()))
        } else {
            let symbol = SYMBOLS
                .into_iter()
                .find(|symbol| rest.iter().copied().take(symbol.len()).eq(symbol.chars()))
                .ok_or_else(|| Trouble {
                    place,
                    what: format!("`{letter}` means nothing here"),
                })?;
            (symbol.len(), Token::Symbol(symbol))
        };
        tokens.push((place, token));
        place += length;
    }
    Ok(tokens)
}

/// A text in quotes; a backslash takes the meaning off a quote or a backslash.
fn quoted(rest: &[char]) -> Option<(usize, Token)> {
    let mut text = String::new();
    let mut place = 1;
    loop {
        match rest.get(place)? {
            '\\' if rest
                .get(place + 1)
                .is_some_and(|next| "\\'\"".contains(*next)) =>
            {
                text.push(rest[place + 1]);
                place += 1;
            }
            letter if *letter == rest[0] => return Some((place + 1, Token::Text(text))),
            letter => text.push(*letter),
        }
        place += 1;
    }
}

fn number(rest: &[char], place: usize) -> Parsed<(usize, Token)> {
    let digits = |from: usize| {
        let tail = rest.iter().skip(from);
        from + tail.take_while(|one| one.is_ascii_digit()).count()
    };
    let mut length = digits(1);
    if rest.get(length) == Some(&'.') {
        length = digits(length + 1);
    }
    if matches!(rest.get(length), Some('e' | 'E')) {
        let sign = usize::from(matches!(rest.get(length + 1), Some('+' | '-')));
        let end = digits(length + 1 + sign);
        if end > length + 1 + sign {
            length = end;
        }
    }
    let written: String = rest[..length].iter().collect();
    // A word of the language may follow at once, a name may not.
    let tail: String = rest[length..]
        .iter()
        .take_while(|one| one.is_alphanumeric() || **one == '_' || **one == '.')
        .collect();
    let goes_on = !(tail.is_empty() || keyword(&tail).is_some());
    match written.parse() {
        Ok(number) if !goes_on => Ok((length, Token::Number(number))),
        _ => Err(Trouble {
            place,
            what: format!("`{written}{tail}`, which is no number (a text goes in quotes),"),
        }),
    }
}

/// The words of the language, in lower or upper case.
fn keyword(word: &str) -> Option<&'static str> {
    [
        "and", "or", "not", "in", "contains", "exists", "true", "false", "null",
    ]
    .into_iter()
    .find(|known| word == *known || word == known.to_uppercase())
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Where the text ends.
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn place(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.end, |(place, _)| *place)
    }

    fn trouble(&self, what: impl Into<String>) -> Trouble {
        Trouble {
            place: self.place(),
            what: what.into(),
        }
    }

    fn expected(&self, what: &str) -> Trouble {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Word(word)) => format!("`{word}`"),
            Some(Token::Text(text)) => format!("the text \"{text}\""),
            Some(Token::Number(number)) => format!("{number}"),
            Some(Token::Symbol("=")) => "`=` (equal is `==`)".to_owned(),
            Some(Token::Symbol(symbol)) => format!("`{symbol}`"),
        };
        self.trouble(format!("expected {what}, found {found}"))
    }

    fn is_keyword(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if keyword(word) == Some(wanted))
    }

    /// Goes past a word or a symbol, if it is there.
    fn accept(&mut self, wanted: &str) -> bool {
        let there = self.is_keyword(wanted)
            || matches!(self.peek(), Some(Token::Symbol(symbol)) if *symbol == wanted);
        self.next += usize::from(there);
        there
    }

    fn require(&mut self, symbol: &str) -> Parsed<()> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{symbol}`")))
        }
    }

    fn any(&mut self) -> Parsed<Test> {
        let mut tests = vec![self.all()?];
        while self.accept("or") || self.accept("||") {
            tests.push(self.all()?);
        }
        Ok(one_or(tests, Test::Any))
    }

    fn all(&mut self) -> Parsed<Test> {
        let mut tests = vec![self.negation()?];
        while self.accept("and") || self.accept("&&") {
            tests.push(self.negation()?);
        }
        Ok(one_or(tests, Test::All))
    }

    fn negation(&mut self) -> Parsed<Test> {
        if self.depth == DEEPEST {
            return Err(self.trouble(format!("more than {DEEPEST} tests in each other")));
        }
        self.depth += 1;
        let test = if self.accept("not") || self.accept("!") {
            Ok(Test::Not(Box::new(self.negation()?)))
        } else if self.accept("(") {
            let test = self.any()?;
            self.require(")")?;
            Ok(test)
        } else {
            self.test()
        };
        self.depth -= 1;
        test
    }

    fn test(&mut self) -> Parsed<Test> {
        if self.accept("exists") {
            self.require("(")?;
            let field = match self.operand()? {
                Operand::Field(field) => field,
                Operand::Literal(_) => {
                    self.next -= 1;
                    return Err(self.expected("a field"));
                }
            };
            self.require(")")?;
            return Ok(Test::Exists(field));
        }
        let left = self.operand()?;
        let comparison = match self.peek() {
            Some(Token::Symbol("==")) => Some(Comparison::Equal),
            Some(Token::Symbol("!=")) => Some(Comparison::Unequal),
            Some(Token::Symbol("<")) => Some(Comparison::Less),
            Some(Token::Symbol("<=")) => Some(Comparison::LessOrEqual),
            Some(Token::Symbol(">")) => Some(Comparison::Greater),
            Some(Token::Symbol(">=")) => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            self.next += 1;
            return Ok(Test::Compare(left, comparison, self.operand()?));
        }
        if self.accept("contains") {
            return Ok(Test::Contains(left, self.operand()?));
        }
        let negated = self.is_keyword("not");
        self.next += usize::from(negated);
        if self.accept("in") {
            return Ok(Test::In {
                left,
                values: self.values()?,
                wanted: !negated,
            });
        }
        if negated {
            return Err(self.expected("`in`"));
        }
        match left {
            Operand::Field(_) | Operand::Literal(Value::Bool(_)) if !self.at_equals() => {
                Ok(Test::True(left))
            }
            _ => Err(self.expected("a comparison (== != < <= > >= in contains)")),
        }
    }

    fn at_equals(&self) -> bool {
        matches!(self.peek(), Some(Token::Symbol("=")))
    }

    /// A list in brackets, or a field that is a list.
    fn values(&mut self) -> Parsed<Vec<Operand>> {
        if !self.accept("[") {
            return match self.operand()? {
                field @ Operand::Field(_) => Ok(vec![field]),
                Operand::Literal(_) => {
                    self.next -= 1;
                    Err(self.expected("a list in brackets, or a field"))
                }
            };
        }
        let mut values = Vec::new();
        while !self.accept("]") {
            if !values.is_empty() {
                self.require(",")?;
            }
            values.push(self.operand()?);
        }
        Ok(values)
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let operand = match self.peek() {
            Some(Token::Text(text)) => Operand::Literal(text.as_str().into()),
            Some(Token::Number(number)) => Operand::Literal((*number).into()),
            Some(Token::Word(word)) => match keyword(word) {
                Some("true") => Operand::Literal(true.into()),
                Some("false") => Operand::Literal(false.into()),
                Some("null") => Operand::Literal(Value::Null),
                Some(_) => return Err(self.expected("a field or a value")),
                None => Operand::Field(self.field(word)?),
            },
            _ => return Err(self.expected("a field or a value")),
        };
        self.next += 1;
        Ok(operand)
    }

    fn field(&self, word: &str) -> Parsed<Field> {
        let mut path: Vec<String> = word.split('.').map(str::to_owned).collect();
        let of_anchor = path[0] == "anchor" || path[0] == "$anchor";
        if of_anchor {
            path.remove(0);
            if path.is_empty() {
                return Err(self.trouble("`anchor` without a field of it, as in anchor.domain,"));
            }
        }
        if path.iter().any(String::is_empty) {
            return Err(self.trouble(format!("`{word}`, which has a dot too many,")));
        }
        if word.matches('$').count() > usize::from(of_anchor && word.starts_with('$')) {
            return Err(self.trouble(format!("`{word}`: only `$anchor` begins with $,")));
        }
        Ok(Field { of_anchor, path })
    }
}

fn one_or(mut tests: Vec<Test>, several: fn(Vec<Test>) -> Test) -> Test {
    match tests.pop() {
        Some(only) if tests.is_empty() => only,
        Some(last) => {
            tests.push(last);
            several(tests)
        }
        None => several(tests),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_cannot_be_read_is_shown_where_it_is() {
        for (text, what, column) in [
            ("", "expected a field or a value, found the end", 1),
            ("year <", "expected a field or a value, found the end", 7),
            ("year < < 2010", "expected a field or a value, found `<`", 8),
            ("year = 2010", "found `=` (equal is `==`)", 6),
            (
                "year 2010",
                "expected `and`, `or` or the end, found 2010",
                6,
            ),
            ("2010", "expected a comparison", 5),
            ("'a' and b", "expected a comparison", 5),
            ("(a and b", "expected `)`, found the end", 9),
            ("a)", "expected `and`, `or` or the end, found `)`", 2),
            (
                "a in 5",
                "expected a list in brackets, or a field, found 5",
                6,
            ),
            ("a in [1 2]", "expected `,`, found 2", 9),
            ("a in [1", "expected `,`, found the end", 8),
            ("a not 5", "expected `in`, found 5", 7),
            ("exists year", "expected `(`, found `year`", 8),
            (
                "exists('year')",
                "expected a field, found the text \"year\"",
                8,
            ),
            ("domain == biology'", "a text that begins with '", 18),
            ("a == \"b", "a text that begins with \"", 6),
            ("year < 2010s", "`2010s`, which is no number", 8),
            ("year < 1.2.3", "`1.2.3`, which is no number", 8),
            ("a == b ; c", "`;` means nothing here", 8),
            ("$claim.domain == 1", "only `$anchor` begins with $", 1),
            ("a != anchor", "`anchor` without a field", 6),
            ("a..b == 1", "a dot too many", 1),
            ("and a", "expected a field or a value, found `and`", 1),
            ("é == 'ü' and", "found the end", 13),
            ("a and\nb c", "found `c`", 9),
        ] {
            let why = parse(text).expect_err(text);
            let mut lines = why.lines();
            let first = lines.next().unwrap_or_default();
            assert!(first.contains(what), "{text}: {why}");
            assert!(
                first.ends_with(&format!("at column {column}")),
                "{text}: {why}"
            );
            let mark = lines.nth(1).unwrap_or_default();
            assert_eq!(mark.find('^'), Some(column + 1), "{text}: {why}");
        }
        let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert!(parse(&deep).is_err_and(|why| why.contains("more than 64")));
    }
}
