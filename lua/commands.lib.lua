-- Commands of chat clients (XEP-0050). An account makes, lists and revokes its sending tokens with them.

local dataforms = require "util.dataforms";
local jid_split = require "util.jid".split;
local st = require "util.stanza";

local accounts = module.import "accounts";
local own_tokens = module.import "account_tokens";
local senders = module.import "senders";
local texts = module.import "command_texts";
local token_rows = module.import "token_rows";

local xmlns_commands = "http://jabber.org/protocol/commands";
local xmlns_forms = "jabber:x:data";

-- One run of a command is a table { username, text, form }: the account's name, the texts in the client's language, and the form that
-- the client has filled in, or nil. Each function below takes it, and returns an answer for mod_adhoc.

local function with_status(status, answer)
	answer.status = status;
	return answer;
end

local function complete(answer)
	return with_status("completed", answer);
end

local function refuse(sentence)
	return complete { error = { message = sentence } };
end

local function refuse_problem(run, problem)
	local sentences = run.text.problems;
	return refuse(sentences[problem.field] or sentences[problem.kind] or sentences.unavailable);
end

local function field(run, name, type, members)
	local result = { name = name; type = type or "text-single"; label = run.text.labels[name] };
	for key, value in pairs(members or {}) do result[key] = value; end
	return result;
end

-- The values of a field, as the client wrote them.
local function values(run, name) --> list of texts
	local texts_of_field = {};
	for tag in run.form:childtags("field") do
		if tag.attr.var == name then
			for value in tag:childtags("value") do texts_of_field[#texts_of_field + 1] = value:get_text(); end
		end
	end
	return texts_of_field;
end

local function show_add_form(run)
	return { form = dataforms.new {
		title = run.text.names.add; instructions = run.text.instructions.add;
		field(run, "label"); field(run, "to", "jid-multi"); field(run, "as"); field(run, "days"); field(run, "rate");
		field(run, "get", "boolean"); field(run, "replies", "boolean"); field(run, "nick");
	} };
end

local function add(run)
	local fields = { to = values(run, "to") };
	for _, name in ipairs { "label", "as", "days", "rate", "get", "replies", "nick" } do fields[name] = values(run, name)[1]; end
	local token, id = own_tokens.add(run.username, fields);
	if not token then return refuse_problem(run, id); end
	return complete { result = dataforms.new {
		title = run.text.names.add; instructions = run.text.instructions.token;
		field(run, "token", nil, { value = token }); field(run, "id", nil, { value = id });
	} };
end

-- XEP-0004, section 3.4.
local function add_item(form, row)
	form:tag("item");
	for _, name in ipairs(token_rows.columns) do
		local value = row[name];
		form:tag("field", { var = name });
		for _, text in ipairs(type(value) == "table" and value or { value }) do form:text_tag("value", text); end
		form:up();
	end
	form:up();
end

local function list(run)
	local labels = run.text.labels;
	local form = st.stanza("x", { xmlns = xmlns_forms; type = "result" })
		:text_tag("title", run.text.names.list):text_tag("instructions", run.text.instructions.list):tag("reported");
	for _, name in ipairs(token_rows.columns) do
		form:tag("field", { var = name; type = name == "to" and "text-multi" or "text-single"; label = labels[name] }):up();
	end
	form:up();
	local is_empty = true;
	local ok, problem = own_tokens.each_row(run.username, function (row)
		is_empty = false;
		add_item(form, row);
	end);
	if not ok then return refuse_problem(run, problem); end
	return complete(is_empty and { info = run.text.no_tokens } or { other = form });
end

local function show_revoke_form(run)
	local options = {};
	local ok, problem = own_tokens.each_row(run.username, function (row)
		options[#options + 1] = { value = row.id; label = row.label and row.label.." ("..row.id..")" or row.id };
	end);
	if not ok then
		return refuse_problem(run, problem);
	elseif not options[1] then
		return complete { info = run.text.no_tokens };
	end
	return { form = dataforms.new {
		title = run.text.names.revoke; instructions = run.text.instructions.revoke;
		field(run, "id", "list-single", { options = options; required = true });
	} };
end

local function revoke(run)
	local id = values(run, "id")[1];
	if not id then return refuse(run.text.problems.form); end
	local ok, problem = own_tokens.revoke(run.username, id);
	if not ok then return refuse_problem(run, problem); end
	return complete { info = run.text.revoked; result = dataforms.new { title = run.text.names.revoke; field(run, "id", nil, { value = id }) } };
end

-- `show` runs first; if it returns a form, `take` runs when the client has filled it in.
local commands = {
	{ name = "add"; show = show_add_form; take = add };
	{ name = "list"; show = list };
	{ name = "revoke"; show = show_revoke_form; take = revoke };
};

-- COMPAT 0.12: mod_adhoc does not hand the stanza to a command. A hook keeps it, and mod_adhoc runs the command right after the hook.
local current_stanza;

local function is_permitted(username, host) --> boolean
	return username and host == module.host and accounts.is_active(username, host) and senders.is_permitted(username.."@"..host, host);
end

-- mod_adhoc passes `data` and `state`; `state` is the second value that this function returned in the step before.
local function run_command(command, data, state) --> answer for mod_adhoc, state for the next step
	if data.action == "cancel" then return with_status("canceled", {}); end
	local username, host = jid_split(data.from);
	local run = { username = username; text = texts.for_stanza(data.stanza or current_stanza); form = data.form };
	if not is_permitted(username, host) then
		return refuse(run.text.problems.account);
	elseif run.form and command.take then
		return command.take(run);
	elseif state then
		return refuse(run.text.problems.form);
	end
	local answer = command.show(run);
	if not answer.form then return answer; end
	answer.actions = { "complete"; default = "complete" };
	return with_status("executing", answer), "shown";
end

-- mod_adhoc has one name for each command, the English one: this puts in the name in the client's language.
local function translate_names(event)
	if event.node ~= xmlns_commands then return; end
	local names = texts.for_stanza(event.stanza).names;
	for _, item in ipairs(event.reply.tags[1].tags) do
		local name = (item.attr.node or ""):match("^post_msg#token%-(.*)$");
		if name then item.attr.name = names[name]; end
	end
end

-- Adds the commands to mod_adhoc.
local function provide_all()
	module:depends("adhoc");
	local new_command = module:require "adhoc".new;
	for _, command in ipairs(commands) do
		module:provides("adhoc", new_command(texts.en.names[command.name], "post_msg#token-"..command.name, function (_, data, state)
			return run_command(command, data, state);
		end, "local_user"));
	end
	module:hook("iq-set/host/"..xmlns_commands..":command", function (event)
		current_stanza = event.stanza;
	end, 501);
	module:hook("host-disco-items-node", translate_names, -1);
end

return { provide_all = provide_all };
