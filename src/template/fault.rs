//! An error in a template → a problem with its line and column.

use minijinja::{Error, ErrorKind};

use crate::http::problem::{Problem, ProblemKind};
use crate::message::field::Field;

/// A fault of the template itself is 503; a payload that does not fit the template is 422. `name` is the requested
/// template.
pub fn problem(name: &str, error: &Error) -> Problem {
    let error = innermost(error);
    let detail = error.detail().map_or_else(|| kind(error), str::to_owned);
    let place = place(error);
    let where_ = match (error.name().filter(|at| !at.starts_with('_')), place) {
        (Some(at), Some((line, column))) => format!("{at}, line {line}, column {column}"),
        (at, _) => at.unwrap_or(name).to_owned(),
    };
    let mut problem = match error.kind() {
        ErrorKind::SyntaxError
        | ErrorKind::TemplateNotFound
        | ErrorKind::BadInclude
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownBlock
        | ErrorKind::InvalidDelimiter => Problem::new(
            ProblemKind::BrokenTemplate,
            format!("the template {where_} is broken: {detail}"),
        )
        .field("as"),
        ErrorKind::OutOfFuel => Problem::meaning(format!(
            "the payload makes the template {where_} take more steps or memory than it may"
        )),
        _ => Problem::meaning(format!("the template {where_}: {detail}")),
    };
    if let Some((line, column)) = place {
        problem = problem.line(line, column);
    }
    problem
}

/// An error in a template that is the value of a field in the query: 422.
pub fn of_field(field: Field, error: &Error) -> Problem {
    let error = innermost(error);
    let name = field.row().name;
    let detail = match error.kind() {
        ErrorKind::OutOfFuel => "it takes more steps or memory than it may".to_owned(),
        _ => error.detail().map_or_else(|| kind(error), str::to_owned),
    };
    let place = place(error);
    let where_ = place.map_or_else(String::new, |(line, column)| {
        format!(", line {line}, column {column}")
    });
    let detail = format!("the template in the query's `{name}`{where_}: {detail}");
    let problem = Problem::meaning(detail).field(name);
    match place {
        Some((line, column)) => problem.line(line, column),
        None => problem,
    }
}

/// The error that caused the others.
fn innermost(error: &Error) -> &Error {
    let mut deepest = error;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<Error>() {
            deepest = error;
        }
        source = cause.source();
    }
    deepest
}

/// The text of an error without a detail.
fn kind(error: &Error) -> String {
    match error.kind() {
        ErrorKind::UndefinedError => "the payload has no such value".to_owned(),
        kind => kind.to_string(),
    }
}

/// Line and column, both counted from 1, the column in characters.
fn place(error: &Error) -> Option<(usize, usize)> {
    let line = error.line()?;
    let start = error.range().map(|range| range.start);
    let prefix = start.and_then(|start| error.template_source()?.get(..start));
    let column = prefix.map_or(1, |prefix| {
        prefix
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1
    });
    Some((line, column))
}
