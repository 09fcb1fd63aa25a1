//! A template and its variables → the fields of a message, and the answer that the program expects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};

use super::context::{Call, TEMPLATE, Variables};
use super::declarations::{DECLARATIONS, Declarations};
use super::source::{BUILT_IN, Folder, built_in, is_name};
use super::{fault, filter, parameter};
use crate::http::problem::{Problem, names, quote};
use crate::message::draft::Draft;
use crate::message::field::{FIELDS, Field, FieldType, LONGEST_ID};
use crate::message::text::is_xml;

/// The cost limit of one rendering: a number of steps, or 64 bytes of output for each.
pub(super) const FUEL: u64 = 200_000;
/// The deepest nesting of templates, so that the stack of a thread is large enough.
const DEPTH: usize = 100;
/// The name of the template that collects the blocks of another.
const MESSAGE: &str = "_message";
/// The name of a template whose source comes with the request's token.
const GIVEN: &str = "_given";
const ANSWER: &str = "answer";
const SILENT: &str = "_silent";
/// The recipients, if the URL names none.
const TO: &str = "to";

/// The known templates.
pub struct Templates {
    pub(super) environment: Environment<'static>,
    folder: Option<Folder>,
    renderings: Mutex<BTreeMap<String, Renderings>>,
    /// The declarations of the built-in templates, which never change, in their order.
    pub(super) declarations: Vec<OnceLock<Arc<Declarations>>>,
}

/// The number of renderings of a template.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Renderings {
    /// Renderings without an error.
    pub rendered: u64,
    /// The template is broken, or the payload does not fit it.
    pub failed: u64,
}

/// The result of rendering a template.
#[derive(Debug, PartialEq, Eq)]
pub struct RenderResult {
    /// The message without recipients. Its texts have only characters that XML can carry.
    pub draft: Draft,
    /// The answer for the program that posted, if the template has one.
    pub answer: Option<String>,
    /// The template decided that this event makes no message.
    pub is_silent: bool,
    /// The recipient that the payload names.
    pub to: Option<String>,
    /// The template printed the value of an expression, perhaps an empty one, in a text of the message.
    pub has_tried: bool,
}

/// Whether the value of an expression was printed.
#[derive(Default)]
struct HasTried(bool);

impl Templates {
    /// The built-in templates, and the administrator's templates in a folder. The latter take precedence.
    pub fn new(folder: Option<Folder>) -> Templates {
        let mut environment = Environment::new();
        // A missing member, or one of another type, prints nothing.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(DEPTH);
        // For the columns of errors.
        environment.set_debug(true);
        environment.set_formatter(|out, state, value| {
            state.get_or_insert_extension(HasTried::default()).0 = true;
            let empty = Value::from("");
            let value = if value.is_none() { &empty } else { value };
            minijinja::escape_formatter(out, state, value)
        });
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .unwrap_or_default(),
        );
        environment.add_function("_tried", has_tried);
        environment.add_function("_keep", keep);
        environment.add_function("fail", fail);
        environment.add_function("silent", silent);
        filter::add_to(&mut environment);
        parameter::add_to(&mut environment);
        let files = folder.clone();
        let message = message();
        environment.set_loader(move |name| {
            if name == MESSAGE {
                return Ok(Some(message.as_str().into()));
            }
            match &files {
                Some(folder) => folder.load(name),
                None => Ok(built_in(name).map(Into::into)),
            }
        });
        Templates {
            environment,
            folder,
            renderings: Mutex::default(),
            declarations: vec![OnceLock::new(); BUILT_IN.len()],
        }
    }

    /// Whether a template is an administrator's. Such a template may take long.
    pub fn is_own(&self, name: &str) -> bool {
        let file = self.folder.as_ref().and_then(|folder| folder.file(name));
        file.is_some_and(|file| file.exists())
    }

    /// Whether an empty output is a decision of the template: true for an administrator's template, except for an unchanged
    /// copy of a built-in one.
    pub fn may_print_nothing(&self, name: &str) -> bool {
        self.is_own(name) && self.source(name).ok().as_deref() != built_in(name)
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        is_name(name) && (built_in(name).is_some() || self.is_own(name))
    }

    /// The name of each template, and whether it is an administrator's.
    pub fn list(&self) -> Vec<(String, bool)> {
        let names = self.folder.as_ref().map(Folder::names).unwrap_or_default();
        let built_in = BUILT_IN.iter().map(|(name, _)| (*name).to_owned());
        let built_in = built_in.filter(|name| !names.contains(name));
        let mut list: Vec<_> = built_in.map(|name| (name, false)).collect();
        list.extend(names.iter().map(|name| (name.clone(), true)));
        list.sort();
        list
    }

    /// The names and errors of broken templates.
    pub fn faults(&self) -> Vec<(String, Problem)> {
        let names = self.list().into_iter().map(|(name, _)| name);
        let faults = names.filter_map(|name| self.template(&name).err().map(|fault| (name, fault)));
        faults.collect()
    }

    /// The source of a template.
    ///
    /// # Errors
    /// 422 if there is no template with this name; 503 if it is broken.
    pub fn source(&self, name: &str) -> Result<String, Problem> {
        Ok(self.template(name)?.source().to_owned())
    }

    /// 422 if there is no template with this name.
    pub fn refusal(&self, name: &str) -> Option<Problem> {
        if self.is_known(name) {
            return None;
        }
        let names: Vec<_> = self.list().into_iter().map(|(name, _)| name).collect();
        let detail = format!(
            "there is no template {}; these are: {}",
            quote(name),
            names.join(", ")
        );
        Some(Problem::meaning(detail).field("as"))
    }

    /// # Errors
    /// 503 with line and column if the source is no template.
    pub fn check_source(&self, source: &str) -> Result<(), Problem> {
        let template = self.environment.template_from_named_str("template", source);
        template
            .map(|_| ())
            .map_err(|error| fault::problem("template", &error))
    }

    /// # Errors
    /// 422 if there is no template with this name; 503 if it is broken.
    pub(super) fn template(&self, name: &str) -> Result<minijinja::Template<'_, '_>, Problem> {
        if let Some(problem) = self.refusal(name) {
            return Err(problem);
        }
        let template = self.environment.get_template(name);
        template.map_err(|error| fault::problem(name, &error))
    }

    /// Makes a message from a payload.
    ///
    /// # Errors
    /// 400 for a parameter of the query that the template does not know; 422 for a payload that does not fit, and if
    /// there is no template with this name; 503 if the template is broken.
    pub fn render(&self, name: &str, call: Call) -> Result<RenderResult, Problem> {
        let rendered = self.render_uncounted(name, call);
        if rendered.is_ok() || self.is_known(name) {
            let mut renderings = self.renderings();
            let count = renderings.entry(name.to_owned()).or_default();
            match rendered {
                Ok(_) => count.rendered += 1,
                Err(_) => count.failed += 1,
            }
        }
        rendered
    }

    /// Counts the last rendering of a template as failed: nothing of the payload could be shown.
    pub fn count_as_failed(&self, name: &str) {
        let mut renderings = self.renderings();
        let count = renderings.entry(name.to_owned()).or_default();
        count.rendered = count.rendered.saturating_sub(1);
        count.failed += 1;
    }

    /// The number of renderings of each template since the last call.
    pub fn take_renderings(&self) -> BTreeMap<String, Renderings> {
        std::mem::take(&mut self.renderings())
    }

    fn renderings(&self) -> impl DerefMut<Target = BTreeMap<String, Renderings>> {
        let renderings = self.renderings.lock();
        renderings.unwrap_or_else(PoisonError::into_inner)
    }

    fn render_uncounted(&self, name: &str, mut call: Call) -> Result<RenderResult, Problem> {
        let template = self.template(name)?;
        if !call.query.is_empty() {
            self.check(name, &call)?;
        }
        drop(template);
        let mut environment = Cow::Borrowed(&self.environment);
        let mut source_name = name;
        let fault = |error: Error| fault::problem(name, &error);
        if let Some(source) = call.template.take() {
            source_name = GIVEN;
            let given = environment.to_mut().add_template_owned(GIVEN, source);
            given.map_err(fault)?;
        }
        let message = environment.get_template(MESSAGE).map_err(fault)?;
        let fields = std::mem::take(&mut call.fields);
        // The answer shows the id.
        let id = fields.iter().find(|(field, _)| *field == Field::Id);
        if let Some((field, source)) = id {
            let variables = Value::from_object(Variables::of(source_name, call.clone()));
            call.posted.id = self.render_field(*field, source, &variables)?;
            if call
                .posted
                .id
                .as_ref()
                .is_some_and(|id| id.len() > LONGEST_ID)
            {
                let detail = format!("the query's `id` has more than {LONGEST_ID} bytes");
                return Err(Problem::meaning(detail).field("id"));
            }
        }
        let has_id = call.posted.id.is_some();
        let variables = Value::from_object(Variables::of(source_name, call));
        let rendered = message.render_captured(variables.clone());
        let rendered = rendered.map_err(fault)?;
        let state = rendered.state();
        let mut draft = Draft::default();
        for row in FIELDS {
            draft.values[row.field] = state.get_temp(row.name).as_ref().and_then(legal_text);
        }
        draft.values[Field::Body] = legal_text(&Value::from(rendered.output()));
        let answer = state.get_temp(ANSWER);
        let answer = answer.map(|text| text.as_str().unwrap_or_default().trim().to_owned());
        let to = state.get_temp(TO).as_ref().and_then(legal_text);
        let is_silent = state.get_temp(SILENT).is_some();
        let has_tried = has_tried(state) || !fields.is_empty();
        for (field, source) in fields {
            if field == Field::Id && !has_id {
                continue;
            }
            draft.values[field] = self.render_field(field, &source, &variables)?;
        }
        Ok(RenderResult {
            draft,
            answer,
            to,
            is_silent,
            has_tried,
        })
    }

    /// Renders a template of the query.
    ///
    /// # Errors
    /// 422 with the column if it is broken, or does not fit the payload.
    fn render_field(
        &self,
        field: Field,
        source: &str,
        variables: &Value,
    ) -> Result<Option<String>, Problem> {
        let template = self
            .environment
            .template_from_named_str(field.row().name, source);
        let text = template.and_then(|template| template.render(variables));
        let text = text.map_err(|error| fault::of_field(field, &error))?;
        Ok(legal_text(&Value::from(text)))
    }

    /// Refuses parameters that the template does not declare.
    fn check(&self, name: &str, call: &Call) -> Result<(), Problem> {
        let declared = self.declarations(name);
        let unknown = call
            .query
            .iter()
            .find(|(parameter, _)| !declared.parameters.contains(parameter));
        match unknown {
            None => Ok(()),
            Some((parameter, _)) => {
                let more = names(declared.parameters.iter().cloned());
                let more = more.map(|names| format!(", {names}")).unwrap_or_default();
                Err(Problem::syntax(format!(
                    "the query has a parameter {}, which is not known here; known parameters are: as, to, token{more}",
                    quote(parameter)
                )))
            }
        }
    }
}

/// The source of a template that extends the requested one. It keeps the output of each block with the name of a field,
/// instead of printing it in place.
fn message() -> String {
    let fields = FIELDS
        .iter()
        .filter(|row| !matches!(row.field, Field::To | Field::Body));
    let blocks = fields.map(|field| {
        let escape = match field.field_type {
            FieldType::Xhtml => "html",
            _ => "none",
        };
        (field.name, escape)
    });
    let blocks = blocks.chain([(ANSWER, "none"), (TO, "none")]);
    let blocks: String = blocks
        .map(|(name, escape)| {
            format!(
                "{{% block {name} %}}{{% autoescape '{escape}' %}}{{% set _kept = _keep('{name}', _tried(), super()) %}}\
                 {{% endautoescape %}}{{% endblock %}}"
            )
        })
        .collect();
    // They are rendered alone.
    let declarations = DECLARATIONS.map(|name| format!("{{% block {name} %}}{{% endblock %}}"));
    let declarations = declarations.concat();
    format!("{{% extends {TEMPLATE} %}}{blocks}{declarations}")
}

/// `_tried()`: whether the value of an expression was printed up to here.
fn has_tried(state: &State) -> bool {
    state
        .get_extension()
        .is_some_and(|HasTried(has_tried)| *has_tried)
}

/// `_keep(name, tried, value)`: keeps the output of a block. `tried` is the state before the block. It is restored
/// after a block that is not a text of the message.
fn keep(state: &mut State, name: &str, tried: bool, value: Value) {
    let is_text = Field::named(name).is_some_and(|field| field.row().suffices);
    if !is_text {
        state.get_or_insert_extension(HasTried::default()).0 = tried;
    }
    state.set_temp(name, value);
}

/// `silent()`: this event makes no message, and the request succeeds.
fn silent(state: &mut State) -> Value {
    state.set_temp(SILENT, Value::from(true));
    Value::from("")
}

/// `fail(text)`: the template does not suit the payload.
fn fail(text: Cow<'_, str>) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, text.into_owned()))
}

/// The trimmed text, or `None` if it is empty. Characters that XML cannot carry are replaced, because the sender of a
/// webhook cannot correct them.
fn legal_text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let legal = |c| if is_xml(c) { c } else { '\u{FFFD}' };
    (!text.is_empty()).then(|| text.chars().map(legal).collect())
}
