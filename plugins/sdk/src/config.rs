//! Settings of a plugin: from a struct to a JSON Schema, from JSON to the struct. Written by `#[derive(Config)]`.

use serde_json::{Map, Value, json};

use crate::Error;

/// A plugin's settings. Derive it.
pub trait Config: Sized {
    /// The struct's doc comment.
    const SUMMARY: &'static str;
    /// The settings, in the order of the fields.
    fn properties() -> Vec<Property>;
    /// Reads the settings.
    ///
    /// # Errors
    /// With the JSON pointer of the first setting that cannot be used.
    fn read(settings: &Settings) -> Result<Self, Error>;

    /// The JSON Schema: an object, no further keys.
    #[must_use]
    fn schema() -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for property in Self::properties() {
            if property.required {
                required.push(Value::from(property.key));
            }
            properties.insert(property.key.to_owned(), Value::Object(property.schema));
        }
        let mut schema = json!({
            "type": "object",
            "description": Self::SUMMARY,
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = Value::Array(required);
        }
        schema
    }
}

/// One setting.
#[derive(Debug, Clone)]
pub struct Property {
    key: &'static str,
    schema: Map<String, Value>,
    required: bool,
}

impl Property {
    /// A required setting of type `T` without bounds.
    #[must_use]
    pub fn of<T: Setting>(key: &'static str, description: &'static str) -> Self {
        let mut schema = T::schema();
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        Self {
            key,
            schema,
            required: !T::OPTIONAL,
        }
    }

    /// Its value when it is not given.
    #[must_use]
    pub fn default<T: Setting>(mut self, value: T) -> Self {
        self.schema.insert("default".to_owned(), value.write());
        self.required = false;
        self
    }

    /// A bound, by its name in JSON Schema.
    #[must_use]
    pub fn bound(mut self, name: &str, value: Value) -> Self {
        self.schema.insert(name.to_owned(), value);
        self
    }

    /// The values allowed.
    #[must_use]
    pub fn one_of(mut self, values: &[&str]) -> Self {
        self.schema.insert("enum".to_owned(), json!(values));
        self
    }
}

/// The number of a bound as JSON.
pub fn number(value: impl Into<Value>) -> Value {
    value.into()
}

/// The settings given, an object.
#[derive(Debug)]
pub struct Settings {
    given: Map<String, Value>,
    defaults: Map<String, Value>,
}

impl Settings {
    /// Parses `text` and looks up the defaults of `C`. Keys `C` does not know are refused, so that a typing error is
    /// never silent even under a host that does not check the schema.
    ///
    /// # Errors
    /// If `text` is not a JSON object or has an unknown key.
    pub fn parse<C: Config>(text: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(text)
            .map_err(|error| Error::config("", format!("settings are not JSON: {error}")))?;
        Self::of::<C>(&value)
    }

    fn of<C: Config>(value: &Value) -> Result<Self, Error> {
        let given = value
            .as_object()
            .ok_or_else(|| wrong("a group of settings"))?
            .clone();
        let properties = C::properties();
        if let Some(unknown) = given
            .keys()
            .find(|key| !properties.iter().any(|known| known.key == **key))
        {
            return Err(Error::config(format!("/{unknown}"), "unknown setting"));
        }
        let defaults = properties
            .into_iter()
            .filter_map(|known| {
                let value = known.schema.get("default")?.clone();
                Some((known.key.to_owned(), value))
            })
            .collect();
        Ok(Self { given, defaults })
    }

    /// The setting `key`, or its default.
    ///
    /// # Errors
    /// If it is missing without a default, or not a `T`.
    pub fn get<T: Setting>(&self, key: &str) -> Result<T, Error> {
        let value = self.given.get(key).or_else(|| self.defaults.get(key));
        T::read(value.unwrap_or(&Value::Null)).map_err(|mut error| {
            error.pointer.insert_str(0, &format!("/{key}"));
            error
        })
    }
}

/// A type a setting may have.
pub trait Setting: Sized {
    /// May be left out without a default.
    const OPTIONAL: bool = false;
    /// Its JSON Schema.
    fn schema() -> Map<String, Value>;
    /// From JSON.
    ///
    /// # Errors
    /// If it is another type; the pointer is relative to the value.
    fn read(value: &Value) -> Result<Self, Error>;
    /// To JSON.
    fn write(&self) -> Value;
}

fn wrong(expected: &str) -> Error {
    Error::config("", format!("must be {expected}"))
}

fn typed(name: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), Value::from(name))])
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn schema() -> Map<String, Value> {
                let mut schema = typed("integer");
                if <$type>::MIN == 0 {
                    schema.insert("minimum".to_owned(), 0.into());
                }
                schema
            }
            fn read(value: &Value) -> Result<Self, Error> {
                value
                    .as_i64()
                    .and_then(|number| number.try_into().ok())
                    .or_else(|| value.as_u64().and_then(|number| number.try_into().ok()))
                    .ok_or_else(|| wrong("a whole number"))
            }
            fn write(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}
integers!(usize, u32, u64, i64);

impl Setting for f64 {
    fn schema() -> Map<String, Value> {
        typed("number")
    }
    fn read(value: &Value) -> Result<Self, Error> {
        value.as_f64().ok_or_else(|| wrong("a number"))
    }
    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for f32 {
    fn schema() -> Map<String, Value> {
        typed("number")
    }
    #[allow(clippy::cast_possible_truncation)]
    fn read(value: &Value) -> Result<Self, Error> {
        value
            .as_f64()
            .map(|number| number as f32)
            .ok_or_else(|| wrong("a number"))
    }
    fn write(&self) -> Value {
        // Through text, so that 0.3 is shown as 0.3 and not as its widened bits.
        self.to_string()
            .parse::<f64>()
            .map_or(Value::Null, Value::from)
    }
}

impl Setting for bool {
    fn schema() -> Map<String, Value> {
        typed("boolean")
    }
    fn read(value: &Value) -> Result<Self, Error> {
        value.as_bool().ok_or_else(|| wrong("true or false"))
    }
    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for String {
    fn schema() -> Map<String, Value> {
        typed("string")
    }
    fn read(value: &Value) -> Result<Self, Error> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong("text"))
    }
    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema() -> Map<String, Value> {
        let mut schema = typed("array");
        schema.insert("items".to_owned(), Value::Object(T::schema()));
        schema
    }
    fn read(value: &Value) -> Result<Self, Error> {
        let items = value.as_array().ok_or_else(|| wrong("a list"))?;
        let read = |(place, item): (usize, &Value)| {
            T::read(item).map_err(|mut error| {
                error.pointer.insert_str(0, &format!("/{place}"));
                error
            })
        };
        items.iter().enumerate().map(read).collect()
    }
    fn write(&self) -> Value {
        Value::Array(self.iter().map(T::write).collect())
    }
}

impl<T: Setting> Setting for Option<T> {
    const OPTIONAL: bool = true;
    fn schema() -> Map<String, Value> {
        T::schema()
    }
    fn read(value: &Value) -> Result<Self, Error> {
        if value.is_null() {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
    }
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::write)
    }
}

/// A group of settings inside the settings.
impl<C: Config> Setting for C {
    fn schema() -> Map<String, Value> {
        match C::schema() {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }
    fn read(value: &Value) -> Result<Self, Error> {
        C::read(&Settings::of::<C>(value)?)
    }
    fn write(&self) -> Value {
        Value::Object(Map::new())
    }
}
