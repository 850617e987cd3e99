//! Arithmetic over named numbers, for settings that change as a run goes on (`3 * (1 + 0.2 * epoch)`) and for conditions
//! (`gain < 0 and epoch >= 2`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An expression: numbers, names, `+ - * /`, comparisons, `and`, `or`, `not`, parentheses, `min(a, b)`, `max(a, b)`. What is
/// true is 1, what is false 0; a comparison with what is not known (NaN) is false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    root: Term,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Number(f64),
    Name(String),
    Not(Box<Term>),
    Of(Operation, Box<Term>, Box<Term>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Min,
    Max,
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    And,
    Or,
}

impl Expression {
    /// Its value, where the names have these.
    #[must_use]
    pub fn value(&self, of: &dyn Fn(&str) -> f64) -> f64 {
        evaluate(&self.root, of)
    }

    /// Whether it is true: neither 0 nor unknown.
    #[must_use]
    pub fn holds(&self, of: &dyn Fn(&str) -> f64) -> bool {
        let value = self.value(of);
        value != 0.0 && !value.is_nan()
    }

    /// The names in it.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        fn collect<'t>(term: &'t Term, names: &mut BTreeSet<&'t str>) {
            match term {
                Term::Number(_) => {}
                Term::Name(name) => {
                    names.insert(name);
                }
                Term::Not(term) => collect(term, names),
                Term::Of(_, left, right) => {
                    collect(left, names);
                    collect(right, names);
                }
            }
        }
        let mut names = BTreeSet::new();
        collect(&self.root, &mut names);
        names
    }

    /// Reads one in which only these names may stand.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut parser = Parser {
            letters: text.chars().collect(),
            place: 0,
            known: Some(known),
        };
        parser.whole(text)
    }
}

fn evaluate(term: &Term, of: &dyn Fn(&str) -> f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    match term {
        Term::Number(number) => *number,
        Term::Name(name) => of(name),
        Term::Not(term) => truth(evaluate(term, of) == 0.0),
        Term::Of(operation, left, right) => {
            let (left, right) = (evaluate(left, of), evaluate(right, of));
            let is = |value: f64| value != 0.0 && !value.is_nan();
            match operation {
                Operation::Add => left + right,
                Operation::Subtract => left - right,
                Operation::Multiply => left * right,
                Operation::Divide => left / right,
                Operation::Min => left.min(right),
                Operation::Max => left.max(right),
                Operation::Less => truth(left < right),
                Operation::AtMost => truth(left <= right),
                Operation::More => truth(left > right),
                Operation::AtLeast => truth(left >= right),
                Operation::Equal => truth(left == right),
                Operation::And => truth(is(left) && is(right)),
                Operation::Or => truth(is(left) || is(right)),
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

impl TryFrom<String> for Expression {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Expression {
    type Err = String;

    /// Whatever the names are: those of a plan were checked when it was made.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            letters: text.chars().collect(),
            place: 0,
            known: None,
        };
        parser.whole(text)
    }
}

struct Parser<'k> {
    letters: Vec<char>,
    place: usize,
    known: Option<&'k [&'k str]>,
}

impl Parser<'_> {
    fn whole(&mut self, text: &str) -> Result<Expression, String> {
        let root = self.any()?;
        self.spaces();
        if self.place < self.letters.len() {
            return Err(self.expected("the end of the expression"));
        }
        Ok(Expression {
            text: text.to_owned(),
            root,
        })
    }

    fn expected(&self, what: &str) -> String {
        match self.letters.get(self.place) {
            Some(letter) => format!(
                "expected {what} at character {}, found `{letter}`",
                self.place + 1
            ),
            None => format!("expected {what} at the end"),
        }
    }

    fn spaces(&mut self) {
        while self
            .letters
            .get(self.place)
            .is_some_and(|letter| letter.is_whitespace())
        {
            self.place += 1;
        }
    }

    fn accept(&mut self, sign: &str) -> bool {
        self.spaces();
        let there = sign
            .chars()
            .enumerate()
            .all(|(n, letter)| self.letters.get(self.place + n) == Some(&letter));
        self.place += if there { sign.len() } else { 0 };
        there
    }

    /// The name or number that stands here.
    fn word(&mut self) -> String {
        self.spaces();
        let word: String = self.letters[self.place..]
            .iter()
            .take_while(|letter| letter.is_alphanumeric() || **letter == '.' || **letter == '_')
            .collect();
        self.place += word.chars().count();
        word
    }

    fn accept_word(&mut self, wanted: &str) -> bool {
        let first = self.place;
        let there = self.word() == wanted;
        if !there {
            self.place = first;
        }
        there
    }

    fn any(&mut self) -> Result<Term, String> {
        let mut left = self.all()?;
        while self.accept_word("or") {
            left = Term::Of(Operation::Or, Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Term, String> {
        let mut left = self.truth()?;
        while self.accept_word("and") {
            left = Term::Of(Operation::And, Box::new(left), Box::new(self.truth()?));
        }
        Ok(left)
    }

    fn truth(&mut self) -> Result<Term, String> {
        if self.accept_word("not") {
            return Ok(Term::Not(Box::new(self.truth()?)));
        }
        let left = self.sum()?;
        let signs = [
            ("<=", Operation::AtMost),
            (">=", Operation::AtLeast),
            ("==", Operation::Equal),
            ("<", Operation::Less),
            (">", Operation::More),
        ];
        for (sign, operation) in signs {
            if self.accept(sign) {
                return Ok(Term::Of(operation, Box::new(left), Box::new(self.sum()?)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Term, String> {
        let mut left = self.product()?;
        loop {
            let operation = if self.accept("+") {
                Operation::Add
            } else if self.accept("-") {
                Operation::Subtract
            } else {
                return Ok(left);
            };
            left = Term::Of(operation, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Term, String> {
        let mut left = self.atom()?;
        loop {
            let operation = if self.accept("*") {
                Operation::Multiply
            } else if self.accept("/") {
                Operation::Divide
            } else {
                return Ok(left);
            };
            left = Term::Of(operation, Box::new(left), Box::new(self.atom()?));
        }
    }

    fn atom(&mut self) -> Result<Term, String> {
        if self.accept("-") {
            let term = self.atom()?;
            return Ok(Term::Of(
                Operation::Subtract,
                Box::new(Term::Number(0.0)),
                Box::new(term),
            ));
        }
        if self.accept("(") {
            let term = self.any()?;
            return if self.accept(")") {
                Ok(term)
            } else {
                Err(self.expected("`)`"))
            };
        }
        self.spaces();
        let first = self.place;
        let word = self.word();
        match word.as_str() {
            "min" | "max" => {
                let operation = if word == "min" {
                    Operation::Min
                } else {
                    Operation::Max
                };
                if !self.accept("(") {
                    return Err(self.expected("`(`"));
                }
                let left = self.sum()?;
                if !self.accept(",") {
                    return Err(self.expected("`,`"));
                }
                let right = self.sum()?;
                if !self.accept(")") {
                    return Err(self.expected("`)`"));
                }
                Ok(Term::Of(operation, Box::new(left), Box::new(right)))
            }
            _ => self.name_or_number(&word, first),
        }
    }

    fn name_or_number(&mut self, word: &str, first: usize) -> Result<Term, String> {
        if let Ok(number) = word.parse::<f64>()
            && word.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
        {
            return Ok(Term::Number(number));
        }
        let known = |known: &[&str]| match known {
            [one] => format!("`{one}`"),
            known => known.join(", "),
        };
        let is_name = word.starts_with(|letter: char| letter.is_alphabetic());
        match self.known {
            None if is_name => Ok(Term::Name(word.to_owned())),
            Some(names) if names.contains(&word) => Ok(Term::Name(word.to_owned())),
            _ if word.is_empty() => {
                self.place = first;
                Err(self.expected("a number, a name or `(`"))
            }
            names => Err(format!(
                "`{word}` at character {} is neither a number nor {}",
                first + 1,
                names.map_or_else(|| "a name".to_owned(), known)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expression;

    #[test]
    fn expressions_follow_the_rules_of_arithmetic() {
        for (text, epoch, value) in [
            ("3 * (1 + 0.2 * epoch)", 5, 6.0),
            ("3", 9, 3.0),
            ("10 - 4 - 3", 0, 3.0),
            ("8 / 4 / 2", 0, 1.0),
            ("-epoch + 2*3", 1, 5.0),
            ("min(1 + epoch, 4)", 7, 4.0),
            ("max(epoch, 2)", 0, 2.0),
        ] {
            let expression = Expression::read(text, &["epoch"]);
            let expression = expression.unwrap_or_else(|why| panic!("{text}: {why}"));
            let found = expression.value(&|_| f64::from(epoch));
            assert!((found - value).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, why) in [
            ("3 *", "at the end"),
            ("3 * (1 + epoch", "expected `)` at the end"),
            ("3 * epochs", "`epochs` at character 5"),
            ("3 4", "at character 3"),
            ("", "at the end"),
        ] {
            let error = Expression::read(text, &["epoch"]).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn conditions_hold_or_not_and_what_is_unknown_holds_for_nothing() {
        let names = ["gain", "epoch", "monitor.gap"];
        let of = |name: &str| match name {
            "gain" => -0.1,
            "epoch" => 3.0,
            _ => f64::NAN,
        };
        for (text, holds) in [
            ("gain < 0", true),
            ("gain < 0 and epoch >= 4", false),
            ("gain < 0 and epoch >= 4 or epoch == 3", true),
            ("not (gain < 0)", false),
            ("epoch - 1 <= 2 * 1", true),
            ("monitor.gap < 1", false),
            ("monitor.gap", false),
            ("epoch > 1 and max(gain, 0) == 0", true),
        ] {
            let expression = Expression::read(text, &names);
            let expression = expression.unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(expression.holds(&of), holds, "{text}");
            assert_eq!(text.parse::<Expression>(), Ok(expression), "{text}");
        }
        let whole = Expression::read("gain < monitor.gap", &names).expect("read");
        assert_eq!(
            whole.names().into_iter().collect::<Vec<_>>(),
            ["gain", "monitor.gap"]
        );
    }
}
