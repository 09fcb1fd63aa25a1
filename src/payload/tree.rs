//! JSON → the tree of values that a template sees, which takes many times the bytes of the text: each is counted before
//! it is built.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::Value;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::not_json;
use crate::http::memory::Share;
use crate::http::problem::Problem;

/// What an array or an object takes when it is empty.
const CONTAINER: usize = 64;
/// What an item of an array takes, in a vector that has doubled.
const ITEM: usize = 48;
/// What a text takes beside its bytes.
const TEXT: usize = 32;
/// A node of a map, and how many members it has at least, the first one excepted.
const NODE: usize = 640;
const NODE_MEMBERS: usize = 5;

/// Reads whatever another program posts.
///
/// # Errors
/// 400 with line and column for what is not JSON, and for a number beyond a double; 413 where it takes more memory
/// than there is for the request.
pub fn read(text: &str, memory: &Share) -> Result<Value, Problem> {
    let fault = RefCell::new(None);
    let tree = Tree {
        memory,
        fault: &fault,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let value = tree
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    value.map_err(|error| fault.take().unwrap_or_else(|| not_json(text, 1, &error)))
}

/// A place in the tree.
#[derive(Clone, Copy)]
struct Tree<'a> {
    memory: &'a Share,
    fault: &'a RefCell<Option<Problem>>,
}

impl Tree<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        self.memory.take(bytes).map_err(|problem| {
            self.fault.replace(Some(problem));
            E::custom("stopped")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.take(TEXT + text.len())?;
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.take(CONTAINER)?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            // The first one makes room for four.
            self.take(if values.is_empty() { 4 * ITEM } else { ITEM })?;
            values.push(value);
        }
        Ok(Value::from(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        self.take(CONTAINER)?;
        let mut values = BTreeMap::new();
        while let Some(name) = members.next_key_seed(self)? {
            if values.len() % NODE_MEMBERS == 0 {
                self.take(NODE)?;
            }
            values.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::from_object(values))
    }
}
