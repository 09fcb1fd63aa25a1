//! JSON → the tree of values that a template sees. A tree takes many times the memory of the text, so each value is
//! counted before it is built.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::http::memory::Share;
use crate::http::problem::Problem;

/// The bytes of an empty array or object.
const CONTAINER: usize = 80;
/// The bytes of an item of an array, and of a member of an object, in a vector that has doubled.
const ITEM: usize = 48;
const MEMBER: usize = 96;
/// The bytes of a text in addition to its length, and the length up to which a text needs no memory of its own.
const TEXT: usize = 32;
const SHORT: usize = 22;

/// Parses a payload.
///
/// # Errors
/// For malformed JSON, and for a number beyond a double, the problem that `not_json` makes; 413 or 503 if there is not
/// enough memory.
pub fn read(
    text: &str,
    memory: &Share,
    not_json: impl FnOnce(&serde_json::Error) -> Problem,
) -> Result<Value, Problem> {
    let fault = RefCell::new(None);
    let tree = Tree {
        memory,
        fault: &fault,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let value = tree
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    value.map_err(|error| fault.take().unwrap_or_else(|| not_json(&error)))
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
        if text.len() > SHORT {
            self.take(TEXT + text.len())?;
        }
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.take(CONTAINER)?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            self.take(ITEM)?;
            values.push(value);
        }
        values.shrink_to_fit();
        Ok(Value::from(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.take(CONTAINER)?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(self)? {
            self.take(MEMBER)?;
            members.push((name, map.next_value_seed(self)?));
        }
        Ok(Value::from_object(Members::of(members)))
    }
}

/// The members of an object, sorted by name. A map of the standard library takes ten times the memory for few members.
#[derive(Debug)]
struct Members(Vec<(Value, Value)>);

impl Members {
    /// If a name is repeated, the last member counts.
    fn of(mut members: Vec<(Value, Value)>) -> Members {
        // Most programs write sorted and different names.
        if !members.is_sorted_by(|(a, _), (b, _)| a.as_str() < b.as_str()) {
            members.reverse();
            members.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
            members.dedup_by(|(a, _), (b, _)| a.as_str() == b.as_str());
        }
        members.shrink_to_fit();
        Members(members)
    }
}

impl Object for Members {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let member = self
            .0
            .binary_search_by(|(name, _)| name.as_str().cmp(&Some(key)));
        member.ok().map(|at| self.0[at].1.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_rev_key_value_enumerator(|this| Box::new(this.0.iter().cloned()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, memory: &Share) -> Result<Value, Problem> {
        super::read(text, memory, |error| Problem::syntax(error.to_string()))
    }

    #[test]
    fn a_tree_holds_the_values_of_the_json() {
        let memory = Share::unshared(1000);
        for (json, sorted) in [
            (
                r#"{"b":[1,-2,0.5,null],"a":{"":true}}"#,
                r#"{"a":{"":true},"b":[1,-2,0.5,null]}"#,
            ),
            (r#"{"a":1,"b":2,"a":3,"b":{}}"#, r#"{"a":3,"b":{}}"#),
            (r#""x\u00fc""#, "\"xü\""),
            ("[]", "[]"),
        ] {
            let value = read(json, &memory).expect(json);
            assert_eq!(serde_json::to_string(&value).expect(json), sorted);
        }
    }

    #[test]
    fn members_are_found_by_name() {
        let json: String = (0..100).map(|n| format!("\"k{n}\":{n},")).collect();
        let value = read(&format!("{{{json}\"x\":0}}"), &Share::unshared(2000)).expect("JSON");
        for number in 0..100 {
            let member = value.get_attr(&format!("k{number}")).expect("a map");
            assert_eq!(member, Value::from(number));
        }
        assert!(value.get_attr("k100").expect("a map").is_undefined());
        assert!(
            value
                .get_item(&Value::from(1))
                .expect("a map")
                .is_undefined()
        );
        assert_eq!(value.len(), Some(101));
    }
}
