//! A template and its variables → the fields of a message, and the answer that the program expects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};

use super::context::{Call, TEMPLATE, Variables};
use super::source::{BUILT_IN, COMES_WITH_IT, Folder, built_in, is_name};
use super::{fault, filter, parameter};
use crate::http::answer::title_and_detail;
use crate::http::problem::{Problem, quote};
use crate::message::draft::Draft;
use crate::message::field::{FIELDS, Field, FieldType};
use crate::message::text::is_xml;

/// The cost limit of one rendering: a number of steps, or 64 bytes of output for each.
const FUEL: u64 = 200_000;
/// The deepest nesting of templates, so that the stack of a thread is large enough.
const DEPTH: usize = 100;
/// The name of the template that collects the blocks of another.
const MESSAGE: &str = "_message";
/// The name of a template whose source comes with the request's token.
const GIVEN: &str = "_given";
const ANSWER: &str = "answer";
const SILENT: &str = "_silent";
const PARAMETERS: &str = "parameters";
const PATHS: &str = "paths";
/// The recipients, if the URL names none.
const TO: &str = "to";
/// Words that say how requests are read: see [`Declarations`].
const TRAITS: &str = "traits";
/// Parameters that name the file that the body is.
const FILE_NAMES: &str = "file_names";
/// The member of the payload that has the sender's token.
const TOKEN: &str = "token";
/// The answer to a problem, with `problem()`.
const PROBLEM: &str = "problem";
/// What a user enters in the program, with `enter()`: a line for each of its settings.
const ENTER: &str = "enter";
/// Answers to `GET`, one a line, each after its path.
const PAGES: &str = "pages";

/// The known templates.
pub struct Templates {
    environment: Environment<'static>,
    folder: Option<Folder>,
    renderings: Mutex<BTreeMap<String, Renderings>>,
    /// The declarations of the built-in templates, which never change, in their order.
    declarations: Vec<OnceLock<Arc<Declarations>>>,
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

/// How a program posts, as its template declares it.
#[derive(Debug, Default)]
pub struct Declarations {
    /// Names of parameters, also after a further `?`.
    pub parameters: Vec<String>,
    /// Texts that it appends to its URL: the last elements of the path.
    paths: Vec<String>,
    /// `topic`: the path names a topic, which is a recipient, or any name if there is only one recipient.
    pub has_topics: bool,
    /// `text`: the body is text.
    pub takes_text: bool,
    /// Parameters that name the file that the body is.
    pub file_names: Vec<String>,
}

impl Declarations {
    /// Cuts the appended element off a recipient, and adds it to `elements`.
    pub fn cut(&self, recipient: String, elements: &mut Vec<String>) -> Option<String> {
        let Some((head, path)) = self.paths.iter().find_map(|path| {
            let head = recipient.strip_suffix(path.as_str())?;
            (head.is_empty() || head.ends_with('/')).then_some((head, path))
        }) else {
            return Some(recipient);
        };
        elements.push(path.to_owned());
        let head = head.trim_end_matches('/');
        (!head.is_empty()).then(|| head.to_owned())
    }
}

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

    fn is_known(&self, name: &str) -> bool {
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
    fn template(&self, name: &str) -> Result<minijinja::Template<'_, '_>, Problem> {
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

    /// How the program of a template posts. Empty if there is no such template.
    pub fn declarations(&self, name: &str) -> Arc<Declarations> {
        let index = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
        match index.ok().filter(|_| !self.is_own(name)) {
            Some(index) => {
                let known = self.declarations[index].get_or_init(|| Arc::new(self.declared(name)));
                Arc::clone(known)
            }
            None => Arc::new(self.declared(name)),
        }
    }

    fn declared(&self, name: &str) -> Declarations {
        let Ok(template) = self.template(name) else {
            return Declarations::default();
        };
        let words = |block| self.words(&template, block).unwrap_or_default();
        let traits = words(TRAITS);
        let has = |word: &str| traits.iter().any(|known| known == word);
        Declarations {
            parameters: words(PARAMETERS),
            paths: words(PATHS),
            has_topics: has("topic"),
            takes_text: has("text"),
            file_names: words(FILE_NAMES),
        }
    }

    /// The built-in template of a protocol whose programs post to this path, and the member of the payload that has the token, if any.
    pub fn of_path(&self, path: &str) -> Option<(&'static str, Option<String>)> {
        let mut protocols = BUILT_IN.iter();
        let has_problem = |source: &str| source.contains("{% block problem %}");
        protocols.find_map(|(name, source)| {
            let template = has_problem(source).then(|| self.template(name).ok())??;
            let paths = self.words(&template, PATHS).ok()?;
            let ends_with = |known: &String| {
                let head = path.strip_suffix(known.as_str());
                head.is_some_and(|head| head.is_empty() || head.ends_with('/'))
            };
            let token = self.words(&template, TOKEN).unwrap_or_default().pop();
            paths.iter().any(ends_with).then_some((*name, token))
        })
    }

    /// The answer to `GET` of a path for which the programs of a protocol ask. With `name`, only this template may have it.
    pub fn page(&self, path: &str, name: Option<&str>) -> Option<String> {
        let mut protocols = BUILT_IN.iter().filter(|(known, source)| {
            name.is_none_or(|name| name == *known) && source.contains("{% block pages %}")
        });
        protocols.find_map(|(name, _)| {
            let name = format!("{COMES_WITH_IT}{name}");
            let template = self.environment.get_template(&name).ok()?;
            let pages = template.new_state().render_block(PAGES).ok()?;
            let mut pages = pages.lines().filter_map(|line| line.trim().split_once(' '));
            let page = pages.find(|(known, _)| *known == path);
            page.map(|(_, answer)| answer.to_owned())
        })
    }

    /// The answer to a problem in the form that the program expects, if its template has one.
    pub fn problem(&self, name: &str, problem: &Problem) -> Option<String> {
        let (title, detail) = title_and_detail(problem);
        let details = Value::from_pairs([
            ("status", Value::from(problem.status())),
            ("title", Value::from(title)),
            ("detail", Value::from(detail)),
        ]);
        self.block(name, PROBLEM, (parameter::PROBLEM, details))
    }

    /// What a user enters in the program of a template: a line for each of its settings. `server`: the URL of this module; `topic`: a
    /// recipient; `None`: the token has only one.
    pub fn enter(&self, name: &str, server: &str, topic: Option<&str>, token: &str) -> String {
        let settings = Value::from_pairs([
            ("server", Value::from(server)),
            ("topic", Value::from(topic)),
            ("token", Value::from(token)),
        ]);
        let entered = self.block(name, ENTER, (parameter::ENTER, settings));
        entered.unwrap_or_else(|| {
            let recipient = topic.map(|topic| format!("/{topic}")).unwrap_or_default();
            format!("URL: {server}{recipient}?token={token}")
        })
    }

    /// A block alone. It has a value that a function returns.
    fn block(&self, name: &str, block: &str, (given, value): (&str, Value)) -> Option<String> {
        let template = self.template(name).ok()?;
        let mut state = template.new_state();
        state.set_temp(given, value);
        Some(state.render_block(block).ok()?.trim().to_owned())
    }

    /// The name of the template in an appended element: for Discord, `/slack` and `/github` after the URL choose
    /// another format.
    pub fn format_of<'a>(
        &self,
        appended: &Declarations,
        elements: &'a [String],
    ) -> Option<&'a String> {
        let mut elements = elements.iter();
        elements.find(|element| appended.paths.contains(element) && self.is_known(element))
    }

    /// The words of a declaring block (`parameters` or `paths`).
    fn words(&self, template: &minijinja::Template, block: &str) -> Result<Vec<String>, Problem> {
        let name = template.name();
        let declared = template.new_state().render_block(block);
        let declared = match declared {
            // An administrator's template that replaces a built-in one is for the same program.
            Err(error) if error.kind() == ErrorKind::UnknownBlock => match built_in(name) {
                Some(source) if self.is_own(name) => self
                    .environment
                    .template_from_str(source)
                    .and_then(|template| template.new_state().render_block(block))
                    .unwrap_or_default(),
                _ => String::new(),
            },
            declared => declared.map_err(|error| fault::problem(name, &error))?,
        };
        Ok(declared.split_whitespace().map(str::to_owned).collect())
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
            Some((parameter, _)) => Err(Problem::syntax(format!(
                "the query has a parameter {}, which is not known here; known parameters are: as, to, token",
                quote(parameter)
            ))),
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
    let declarations = [PARAMETERS, PATHS, TRAITS, FILE_NAMES, TOKEN, PROBLEM, ENTER, PAGES];
    let declarations =
        declarations.map(|name| format!("{{% block {name} %}}{{% endblock %}}"));
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
