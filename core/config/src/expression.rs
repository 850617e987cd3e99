//! Arithmetic over one variable, for settings that change with the epoch: `3 * (1 + 0.2 * epoch)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An expression of `epoch`: numbers, `+ - * /`, parentheses, `min(a, b)`, `max(a, b)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    root: Term,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Number(f64),
    Epoch,
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
}

impl Expression {
    /// Its value at `epoch`, counted from 0.
    #[must_use]
    pub fn at(&self, epoch: usize) -> f64 {
        evaluate(&self.root, epoch as f64)
    }
}

fn evaluate(term: &Term, epoch: f64) -> f64 {
    match term {
        Term::Number(number) => *number,
        Term::Epoch => epoch,
        Term::Of(operation, left, right) => {
            let (left, right) = (evaluate(left, epoch), evaluate(right, epoch));
            match operation {
                Operation::Add => left + right,
                Operation::Subtract => left - right,
                Operation::Multiply => left * right,
                Operation::Divide => left / right,
                Operation::Min => left.min(right),
                Operation::Max => left.max(right),
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

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            letters: text.chars().collect(),
            place: 0,
        };
        let root = parser.sum()?;
        parser.spaces();
        if parser.place < parser.letters.len() {
            return Err(parser.expected("the end of the expression"));
        }
        Ok(Self {
            text: text.to_owned(),
            root,
        })
    }
}

struct Parser {
    letters: Vec<char>,
    place: usize,
}

impl Parser {
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

    fn accept(&mut self, letter: char) -> bool {
        self.spaces();
        let there = self.letters.get(self.place) == Some(&letter);
        self.place += usize::from(there);
        there
    }

    fn sum(&mut self) -> Result<Term, String> {
        let mut left = self.product()?;
        loop {
            let operation = if self.accept('+') {
                Operation::Add
            } else if self.accept('-') {
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
            let operation = if self.accept('*') {
                Operation::Multiply
            } else if self.accept('/') {
                Operation::Divide
            } else {
                return Ok(left);
            };
            left = Term::Of(operation, Box::new(left), Box::new(self.atom()?));
        }
    }

    fn atom(&mut self) -> Result<Term, String> {
        if self.accept('-') {
            let term = self.atom()?;
            return Ok(Term::Of(
                Operation::Subtract,
                Box::new(Term::Number(0.0)),
                Box::new(term),
            ));
        }
        if self.accept('(') {
            let term = self.sum()?;
            return if self.accept(')') {
                Ok(term)
            } else {
                Err(self.expected("`)`"))
            };
        }
        let first = self.place;
        let word: String = self.letters[first..]
            .iter()
            .take_while(|letter| letter.is_alphanumeric() || **letter == '.' || **letter == '_')
            .collect();
        self.place += word.chars().count();
        match word.as_str() {
            "epoch" => Ok(Term::Epoch),
            "min" | "max" => {
                let operation = if word == "min" {
                    Operation::Min
                } else {
                    Operation::Max
                };
                if !self.accept('(') {
                    return Err(self.expected("`(`"));
                }
                let left = self.sum()?;
                if !self.accept(',') {
                    return Err(self.expected("`,`"));
                }
                let right = self.sum()?;
                if !self.accept(')') {
                    return Err(self.expected("`)`"));
                }
                Ok(Term::Of(operation, Box::new(left), Box::new(right)))
            }
            _ => word.parse().map(Term::Number).map_err(|_| {
                self.place = first;
                if word.is_empty() {
                    self.expected("a number, `epoch` or `(`")
                } else {
                    format!(
                        "`{word}` at character {} is neither a number nor `epoch`",
                        first + 1
                    )
                }
            }),
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
            let expression: Expression = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert!((expression.at(epoch) - value).abs() < 1e-12, "{text}");
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
            let error = text.parse::<Expression>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
