-- Commands of chat clients (XEP-0050), by which an account makes, lists and revokes its sending tokens.

local dataforms = require "util.dataforms";
local datetime = require "util.datetime";
local jid_split = require "util.jid".split;
local st = require "util.stanza";

local auth = module.import "auth";
local owner = module.import "account_tokens";
local rules = module.import "tokens";
local shown_text = module.import "display".show;

local xmlns_commands = "http://jabber.org/protocol/commands";
local xmlns_forms = "jabber:x:data";

local texts = {
	en = {
		add = "Make a sending token"; list = "List sending tokens"; revoke = "Revoke a sending token";
		add_instructions = "A sending token lets a program send messages in your name, and do nothing else. What you leave empty is not limited.";
		revoke_instructions = "Programs that use the token can send no more.";
		made_instructions = "This is shown once. Whoever has the token can send in your name.";
		list_instructions = "Times are UTC.";
		label = "Label, such as the name of the program"; to = "May send only to these addresses or domains";
		as = "May send only this format (alertmanager, github, …)"; days = "Days until it expires";
		rate = "Messages a minute, at most"; token = "Token"; id = "Id"; expires = "Expires"; made = "Made"; used = "Last used";
		none = "You have no sending tokens."; revoked = "The token is revoked.";
		wrong_label = "The label is one line of at most 200 bytes, without control characters.";
		wrong_to = "A recipient is an address without resource, or a domain; at most 100 of them, of 16384 bytes in all.";
		wrong_as = "A format is named with letters, digits, dots, hyphens and underscores.";
		wrong_days = "The days are a whole number from 1 to 36500.";
		wrong_rate = "The messages a minute are a whole number from 1 to 10000.";
		wrong_form = "The form is incomplete.";
		wrong_none = "You have no token with this id."; wrong_full = "You have as many tokens as an account may have; revoke one first.";
		wrong_store = "Tokens cannot be stored or read now; try again later.";
		wrong_account = "Only accounts that may send messages over HTTP have sending tokens.";
	};
	de = {
		add = "Sende-Token erstellen"; list = "Sende-Token anzeigen"; revoke = "Sende-Token widerrufen";
		add_instructions = "Mit einem Sende-Token kann ein Programm in Ihrem Namen Nachrichten senden und sonst nichts. Was leer bleibt, ist unbeschränkt.";
		revoke_instructions = "Programme, die das Token benutzen, können nichts mehr senden.";
		made_instructions = "Das Token wird nur jetzt angezeigt. Wer es hat, kann in Ihrem Namen senden.";
		list_instructions = "Die Zeiten sind in UTC.";
		label = "Bezeichnung, etwa der Name des Programms"; to = "Darf nur an diese Adressen oder Domains senden";
		as = "Darf nur dieses Format senden (alertmanager, github, …)"; days = "Tage, bis es abläuft";
		rate = "Höchstens so viele Nachrichten in der Minute"; token = "Token"; id = "Kennung"; expires = "Läuft ab"; made = "Erstellt";
		used = "Zuletzt benutzt"; none = "Sie haben keine Sende-Token."; revoked = "Das Token ist widerrufen.";
		wrong_label = "Die Bezeichnung ist eine Zeile von höchstens 200 Bytes, ohne Steuerzeichen.";
		wrong_to = "Ein Empfänger ist eine Adresse ohne Ressource oder eine Domain; höchstens 100 sind möglich, von zusammen 16384 Bytes.";
		wrong_as = "Ein Format hat einen Namen aus Buchstaben, Ziffern, Punkten, Binde- und Unterstrichen.";
		wrong_days = "Die Tage sind eine ganze Zahl von 1 bis 36500.";
		wrong_rate = "Die Nachrichten in der Minute sind eine ganze Zahl von 1 bis 10000.";
		wrong_form = "Das Formular ist unvollständig.";
		wrong_none = "Sie haben kein Token mit dieser Kennung.";
		wrong_full = "Sie haben so viele Token, wie ein Konto haben darf; widerrufen Sie zuerst eines.";
		wrong_store = "Token können jetzt nicht gespeichert oder gelesen werden; versuchen Sie es später noch einmal.";
		wrong_account = "Nur Konten, die über HTTP Nachrichten senden dürfen, haben Sende-Token.";
	};
};

-- The texts in the language of a stanza (RFC 6120, section 8.1.5).
local function texts_for(stanza)
	local lang = stanza.attr["xml:lang"] or "";
	return texts[lang:lower():match("^%a+")] or texts.en;
end

-- COMPAT 0.12: a handler of mod_adhoc is not given the stanza, so the hook before it notes the texts. Another command may run
-- while one waits.
local text = texts.en;

local function breathe(username) --> boolean: whether it goes on
	local its_text = text;
	local goes_on = owner.breathe(username);
	text = its_text;
	return goes_on;
end

local function list_tokens(username) --> as owner.list
	local its_text = text;
	local found = owner.list(username);
	text = its_text;
	return found;
end

local function refused(problem)
	return { status = "completed"; error = { message = text["wrong_"..problem] } };
end

local function done(result)
	result.status = "completed";
	return result;
end

-- The values of a field, as written.
local function values(form, name)
	local found = {};
	for field in form:childtags("field") do
		if field.attr.var == name then
			for value in field:childtags("value") do found[#found + 1] = value:get_text(); end
		end
	end
	return found;
end

-- Runs `show`, which gives a form and its values, and then `take`, with the form that was sent.
-- Both are given the name of the account.
local function command(show, take)
	return function (_, data, state)
		if data.action == "cancel" then
			return { status = "canceled" };
		end
		local username, host = jid_split(data.from);
		if not username or host ~= module.host or not auth.is_active(username, host)
			or not auth.permitted(username.."@"..host, host) then
			return refused("account");
		elseif data.form then
			return take(username, data.form);
		elseif state then
			return refused("form");
		end
		local answer = show(username);
		if answer.status then return answer; end
		return { status = "executing"; actions = { "complete"; default = "complete" }; form = answer }, "shown";
	end
end

local function field(name, kind, more)
	local made = { name = name; type = kind or "text-single"; label = text[name] };
	for key, value in pairs(more or {}) do made[key] = value; end
	return made;
end

local function add_form()
	return dataforms.new {
		title = text.add; instructions = text.add_instructions;
		field("label"); field("to", "jid-multi"); field("as"); field("days"); field("rate");
	};
end

local function add(username, form)
	local token, id = owner.add(username, {
		label = values(form, "label")[1]; to = values(form, "to"); as = values(form, "as")[1]; rate = values(form, "rate")[1];
		days = values(form, "days")[1];
	});
	if not token then return refused(id); end
	return done { result = dataforms.new {
		title = text.add; instructions = text.made_instructions;
		field("token", nil, { value = token }); field("id", nil, { value = id });
	} };
end

local columns = { "id", "label", "to", "as", "rate", "expires", "made", "used" };

-- XEP-0004, section 3.4.
local function list(username)
	local found = list_tokens(username);
	if not found then
		return refused("store");
	elseif not found[1] then
		return done { info = text.none };
	end
	local form = st.stanza("x", { xmlns = xmlns_forms; type = "result" })
		:text_tag("title", text.list):text_tag("instructions", text.list_instructions):tag("reported");
	for _, name in ipairs(columns) do
		form:tag("field", { var = name; type = name == "to" and "text-multi" or "text-single"; label = text[name] }):up();
	end
	form:up();
	for _, token in ipairs(found) do
		if not breathe(username) then return refused("store"); end
		local entry = token.entry;
		local function time(when) return when and { datetime.datetime(when) }; end
		local shown = {
			id = { token.id }; label = { entry.label and shown_text(entry.label) }; to = rules.shown_recipients(entry.to); as = { entry.as };
			rate = entry.rate and { ("%d"):format(entry.rate) };
			expires = time(entry.expires); made = time(entry.made); used = time(entry.used);
		};
		form:tag("item");
		for _, name in ipairs(columns) do
			form:tag("field", { var = name });
			for _, value in ipairs(shown[name] or {}) do form:text_tag("value", value); end
			form:up();
		end
		form:up();
	end
	return done { other = form };
end

local function revoke_form(username)
	local found = list_tokens(username);
	if not found then
		return refused("store");
	elseif not found[1] then
		return done { info = text.none };
	end
	local options = {};
	for _, token in ipairs(found) do
		local label = token.entry.label and shown_text(token.entry.label);
		options[#options + 1] = { value = token.id; label = label and label.." ("..token.id..")" or token.id };
	end
	return dataforms.new {
		title = text.revoke; instructions = text.revoke_instructions; field("id", "list-single", { options = options; required = true });
	};
end

local function revoke(username, form)
	local id = values(form, "id")[1];
	if not id then return refused("form"); end
	local _, wrong = owner.revoke(username, id);
	if wrong then return refused(wrong); end
	return done {
		info = text.revoked;
		result = dataforms.new { title = text.revoke; field("id", nil, { value = id }) };
	};
end

-- Adds the commands to mod_adhoc.
local function provide_all()
	module:depends("adhoc");
	local new_command = module:require "adhoc".new;
	local names = {}; -- node → name of its text
	local function provide(name, handler)
		local node = "post_msg#token-"..name;
		names[node] = name;
		module:provides("adhoc", new_command(texts.en[name], node, handler, "local_user"));
	end
	provide("add", command(add_form, add));
	provide("list", command(list, list));
	provide("revoke", command(revoke_form, revoke));

	module:hook("iq-set/host/"..xmlns_commands..":command", function (event)
		text = texts_for(event.stanza);
	end, 501);
	-- mod_adhoc knows one name of a command.
	module:hook("host-disco-items-node", function (event)
		if event.node ~= xmlns_commands then return; end
		local translated = texts_for(event.stanza);
		for _, item in ipairs(event.reply.tags[1].tags) do
			local name = names[item.attr.node];
			if name then item.attr.name = translated[name]; end
		end
	end, -1);
end

return { provide_all = provide_all };
