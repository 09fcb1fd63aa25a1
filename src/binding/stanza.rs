//! Elements as `util.stanza` tables.

use mlua::{Lua, Result, Table};

use crate::message::element::{Child, Element};

/// Makes a `util.stanza` object: `{ name=, attr=, tags=, [1..n] }` with its metatable. If a
/// text is in `known`, its Lua string is used again and not copied.
///
/// # Errors
/// Lua's own, if memory runs out.
pub fn table(
    element: &Element,
    lua: &Lua,
    metatable: &Table,
    known: Option<&mlua::String>,
) -> Result<Table> {
    let attr = lua.create_table_with_capacity(0, element.attributes().len())?;
    for (name, value) in element.attributes() {
        attr.raw_set(*name, *value)?;
    }
    let children = element.children();
    let elements = children
        .iter()
        .filter(|child| matches!(child, Child::Element(_)))
        .count();
    let tags = lua.create_table_with_capacity(elements, 0)?;
    let stanza = lua.create_table_with_capacity(children.len(), 3)?;
    stanza.raw_set("name", element.name())?;
    stanza.raw_set("attr", attr)?;
    for child in children {
        match child {
            Child::Element(element) => {
                let element = table(element, lua, metatable, known)?;
                tags.raw_push(&element)?;
                stanza.raw_push(element)?;
            }
            Child::Text(text) => match known {
                Some(known) if *known.as_bytes() == *text.as_bytes() => {
                    stanza.raw_push(known)?;
                }
                _ => stanza.raw_push(*text)?,
            },
        }
    }
    stanza.raw_set("tags", tags)?;
    stanza.set_metatable(Some(metatable.clone()))?;
    Ok(stanza)
}
