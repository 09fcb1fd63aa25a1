//! The query → fields of the message.

use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::draft::Draft;
use crate::message::field::Field;

/// The fields of a message in the query, as text; with `as`, they are templates.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct QueryFields {
    /// Each field at most once; without `to`.
    pub fields: Vec<(Field, String)>,
    /// Whether the query names a recipient.
    names_recipient: bool,
}

impl QueryFields {
    /// Takes the fields out of a query. `names_recipient`: whether it has a `to`.
    ///
    /// # Errors
    /// 422 for `html`, for a field that is given twice, and for bytes that are not UTF-8.
    pub fn of(query: &mut Query, names_recipient: bool) -> Result<QueryFields, Problem> {
        let mut fields: Vec<(Field, String)> = Vec::new();
        for (name, value) in query.take(Field::is_name) {
            let Some(field) = Field::named(&name) else {
                continue;
            };
            let fault = if field == Field::Html {
                "`html` cannot be in the query; send it in the body"
            } else if !query.is_utf8 {
                "the query is not UTF-8 when it is percent-decoded"
            } else if fields.iter().any(|(other, _)| *other == field) {
                "the query gives a field twice; only `to` may be repeated"
            } else {
                fields.push((field, value));
                continue;
            };
            return Err(Problem::meaning(fault).field(field.row().name));
        }
        Ok(QueryFields {
            fields,
            names_recipient,
        })
    }

    /// Whether a body may be empty, because the query has the message.
    pub fn are_enough(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Adds the fields to the message of a body. A field that the body has too is noted as a fault.
    pub fn add_to(&self, draft: &mut Draft) {
        let given = self
            .fields
            .iter()
            .filter(|(field, _)| draft.values[*field].is_some());
        let twice = match (
            self.names_recipient && draft.to.is_some(),
            given.map(|(field, _)| *field).next(),
        ) {
            (true, _) => Some(Field::To),
            (false, field) => field,
        };
        if let Some(field) = twice {
            let name = field.row().name;
            draft.note(
                Problem::meaning(format!(
                    "`{name}` is in the query and in the body; give it once"
                ))
                .field(name),
            );
        }
        for (field, value) in &self.fields {
            draft.values[*field] = Some(value.clone());
        }
    }

    /// The problem of these fields beside several messages.
    pub fn beside_several(&self) -> Option<Problem> {
        let to = self.names_recipient.then_some(Field::To);
        let field = to.or_else(|| self.fields.first().map(|(field, _)| *field))?;
        let name = field.row().name;
        Some(
            Problem::meaning(format!(
                "`{name}` is in the query, and the body is an array or NDJSON; give it in each message"
            ))
            .field(name),
        )
    }
}
