//! A setting that is one of a few words, as an enum.

/// Declares an enum whose variants are written in settings by the words given.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $variant),+
        }

        impl orchestrator_plugin::config::Setting for $name {
            fn schema() -> serde_json::Map<String, serde_json::Value> {
                serde_json::Map::from_iter([
                    ("type".to_owned(), "string".into()),
                    ("enum".to_owned(), vec![$($word),+].into()),
                ])
            }

            fn read(value: &serde_json::Value) -> orchestrator_plugin::Result<Self> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$variant),)+
                    _ => Err(orchestrator_plugin::Error::config(
                        "",
                        concat!("must be one of", $(" ", $word),+),
                    )),
                }
            }

            fn write(&self) -> serde_json::Value {
                match self {
                    $(Self::$variant => $word.into()),+
                }
            }
        }
    };
}

pub(crate) use choice;
