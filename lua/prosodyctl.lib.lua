-- What `prosodyctl mod_post_msg …` does, in a process of its own, while the server runs or not.
-- COMPAT All that differs between Prosody 0.12 and 13 for such a command is here: nothing but this is
-- known of prosodyctl.

local jid_split = require "util.jid".prepped_split;
local modulemanager = require "core.modulemanager";
local new_events = require "util.events".new;
local storagemanager = require "core.storagemanager";
local usermanager = require "core.usermanager";

local check_configuration = module.import "check".check;
local loader = module.import "loader";
local settings = module.import "settings";
local rules = module.import "tokens";
local show = module.import "display".show;

local usage = [[
Usage: prosodyctl mod_post_msg check
       prosodyctl mod_post_msg token add ADDRESS [OPTION]...
       prosodyctl mod_post_msg token list [ADDRESS]
       prosodyctl mod_post_msg token revoke ID
       prosodyctl mod_post_msg template list
       prosodyctl mod_post_msg template show NAME
       prosodyctl mod_post_msg template try NAME [--header "NAME: VALUE"]... < PAYLOAD

`check` looks at the configuration and prints what would not work, and what to do, a line each. Its exit status is 0 where
there are no problems.

A sending token lets a program send messages over HTTP in the name of an account, and do nothing else.

`add` makes one, and prints it on standard output; it is shown only now. Its id goes to standard error.
    --to ADDRESS-OR-DOMAIN   may send only there; can be repeated
    --as NAME                may send only this format (alertmanager, github, ...)
    --expires TIME           expires after so long: 30s, 15m, 12h, 90d
    --rate N                 may send N messages a minute
    --label TEXT             what it is for
    --webhook-secret TEXT    what GitHub, Gitea or GitLab sign their webhooks with; nothing is sent that is not signed
`list` prints a line for each token: its id, account, limits, when it was made, and when it was used last (UTC).
`revoke` ends one; a server that runs knows it within post_msg_credential_recheck seconds.

A template makes a message of what another program posts with ?as=NAME. Those in the folder post_msg_templates go before
those that come with the module.

`list` prints a line for each: its name and where it is from, and what is wrong with it where it is broken.
`show` prints one, to start from.
`try` prints the fields of the message that one makes of the payload on standard input, the body last.
    --header "NAME: VALUE"   a header of the request, such as "X-GitHub-Event: push"; can be repeated
]];

local function fail(sentence, ...)
	io.stderr:write(sentence:format(...), "\n");
	return 1;
end

-- As they are written → the names of what they give, and of those that can be repeated.
local options = {
	to = "to"; as = "as"; expires = "expires"; rate = "rate"; label = "label"; ["webhook-secret"] = "webhook_secret"; header = "header";
};
local lists = { to = true; header = true };

-- Words → those that are no options, and the options
local function parse(words, first) --> words, given; or nil and a sentence
	local plain, given = {}, { to = {}; header = {} };
	local index = first;
	while words[index] do
		local word = words[index];
		local name, value = word:match("^%-%-([%w-]+)=(.*)$");
		name = name or word:match("^%-%-([%w-]+)$");
		if not name and word:sub(1, 1) == "-" or name and not options[name] then
			return nil, "There is no option "..word;
		elseif name then
			if not value then
				index = index + 1;
				value = words[index];
			end
			if not value or value == "" then
				return nil, "A value must follow --"..name;
			elseif lists[name] then
				table.insert(given[name], value);
			elseif given[options[name]] then
				return nil, "--"..name.." is given twice";
			else
				given[options[name]] = value;
			end
		else
			plain[#plain + 1] = word;
		end
		index = index + 1;
	end
	return plain, given;
end

-- The hosts with this module.
local function hosts_with_tokens() --> { host → its tokens }
	local found = {};
	for host, session in pairs(prosody.hosts) do
		-- In Prosody 13 "*" is one of them, as the host of this command, and what is loaded there is not loaded on the others.
		if host ~= "*" and session.type == "local" and modulemanager.get_modules_for_host(host):contains(module.name) then
			-- In prosodyctl, hosts have no storage and no accounts until they are asked for, and share their
			-- events, so that each would be given those of the others.
			session.events = new_events();
			storagemanager.initialize_host(host);
			usermanager.initialize_host(host);
			local context = module:context(host);
			found[host] = rules.open(context, loader.load(), settings.load(context, loader.stop).token_limit);
		end
	end
	return found;
end

local function add(words, given, hosts)
	local username, host = jid_split(words[1]);
	if not words[1] then
		return fail("Say for which account: token add user@example.com");
	elseif words[2] then
		return fail("There is a word too many: %s", words[2]);
	elseif not username or select(3, jid_split(words[1])) then
		return fail("%s is no address of an account; write user@example.com", words[1]);
	elseif not hosts[host] then
		return fail("%s is no host of this server with mod_post_msg", host);
	elseif not usermanager.get_provider(host).user_exists(username) then
		return fail("There is no account %s@%s", username, host);
	end
	local entry, _, sentence = rules.read(given, os.time());
	if not entry then
		return fail("This cannot be: %s", sentence);
	end
	local token, id = hosts[host].add(username, entry);
	if not token then
		return fail(id == "full" and "%s@%s has as many tokens as an account may have (post_msg_token_limit); revoke one"
			or "The token of %s@%s cannot be stored", username, host);
	end
	io.stderr:write(("Made the token %s of %s@%s. It is shown only now:\n"):format(id, username, host));
	io.stdout:write(token, "\n");
	return 0;
end

local function shown(token, account) --> a line
	local entry = token.entry;
	local parts = { token.id, account };
	local function tell(name, value)
		if value then parts[#parts + 1] = name.." "..show(value, #value); end
	end
	local function time(name, when)
		if when then tell(name, os.date("!%Y-%m-%dT%H:%M:%SZ", when)); end
	end
	tell("to", entry.to and table.concat(entry.to, ","));
	tell("as", entry.as);
	tell("rate", entry.rate and ("%d"):format(entry.rate));
	time("expires", entry.expires);
	time("made", entry.made);
	if entry.used then time("used", entry.used); else tell("used", "never"); end
	if entry.webhook_secret then tell("webhook", "signed"); end
	tell("label", entry.label);
	return table.concat(parts, "  ");
end

local function list(words, _, hosts)
	local username, host = jid_split(words[1]);
	if words[2] then
		return fail("There is a word too many: %s", words[2]);
	elseif words[1] and not username then
		return fail("%s is no address of an account; write user@example.com", words[1]);
	elseif words[1] and not hosts[host] then
		return fail("%s is no host of this server with mod_post_msg", host);
	end
	local function print_all(its_host, name)
		local found = hosts[its_host].list(name, os.time());
		if not found then return fail("The tokens of %s@%s cannot be read", name, its_host); end
		for _, token in ipairs(found) do
			io.stdout:write(shown(token, name.."@"..its_host), "\n");
		end
		return 0;
	end
	if username then return print_all(host, username); end
	local status, names = 0, {};
	for its_host in pairs(hosts) do names[#names + 1] = its_host; end
	table.sort(names);
	for _, its_host in ipairs(names) do
		local accounts, state, first = hosts[its_host].accounts();
		if not accounts then return fail("The tokens of %s cannot be listed", its_host); end
		for name in accounts, state, first do
			status = math.max(status, print_all(its_host, name));
		end
	end
	return status;
end

local function revoke(words, _, hosts)
	if not words[1] or words[2] then
		return fail("Say which token, by its id: token revoke 0123456789abcdef");
	end
	for host, tokens in pairs(hosts) do
		local username, problem = tokens.revoke(words[1], os.time());
		if username then
			io.stderr:write(("Revoked the token %s of %s@%s\n"):format(words[1], username, host));
			return 0;
		elseif problem == "store" then
			return fail("The tokens of %s cannot be written", host);
		end
	end
	return fail("There is no token with the id %s", words[1]);
end

local token_commands = { add = add; list = list; revoke = revoke };

-- The templates of a host with this module, and their folder; without any host, those that come with the module.
local function templates_of_host(hosts) --> templates, folder or nil
	local names = {};
	for host in pairs(hosts) do names[#names + 1] = host; end
	table.sort(names);
	local folder;
	for _, host in ipairs(names) do
		folder = folder or settings.load(module:context(host), loader.stop).templates;
	end
	return loader.load().templates(folder), folder;
end

local function list_templates(words, _, hosts)
	if words[1] then
		return fail("There is a word too many: %s", words[1]);
	end
	local templates, folder = templates_of_host(hosts);
	local status = 0;
	for _, template in ipairs(templates:list()) do
		local source, problem = templates:source(template.name);
		io.stdout:write(("%s  %s%s\n"):format(template.name, template.own and folder.."/"..template.name..".j2" or "(comes with the module)",
			source and "" or "  "..problem.detail));
		if not source then status = 1; end
	end
	return status;
end

local function show_template(words, _, hosts)
	if not words[1] or words[2] then
		return fail("Say which template: template show alertmanager");
	end
	local source, problem = templates_of_host(hosts):source(words[1]);
	if not source then return fail("%s", problem.detail); end
	io.stdout:write((source:gsub("\n?$", "\n")));
	return 0;
end

local function try_template(words, given, hosts)
	if not words[1] or words[2] then
		return fail("Say which template, and give it a payload: template try alertmanager < payload.json");
	end
	local headers = {};
	for _, header in ipairs(given.header) do
		local name, value = header:match("^([%w_-]+):%s*(.*)$");
		if not name then return fail("%s is no header; write NAME: VALUE", header); end
		headers[name] = value;
	end
	local fields, answer = templates_of_host(hosts):render(words[1], io.stdin:read("*a"), headers);
	if not fields then return fail("%s", answer.detail); end
	local body;
	for _, field in ipairs(fields) do
		if field[1] == "body" then
			body = field[2];
		else
			io.stdout:write(field[1], ": ", field[2], "\n");
		end
	end
	if answer then io.stdout:write("answer: ", answer, "\n"); end
	if not fields[1] then
		io.stderr:write("The template prints nothing, so nothing is sent.\n");
	elseif body then
		io.stdout:write((fields[2] or answer) and "\n" or "", body, "\n");
	end
	return 0;
end

local function check()
	local status = 0;
	for _, finding in ipairs(check_configuration()) do
		local kind, sentence = finding[1], finding[2];
		io.stdout:write(kind, ": ", sentence, "\n");
		if kind == "problem" then status = 1; end
	end
	if status == 0 then io.stdout:write("No problems were found.\n"); end
	return status;
end

local commands = {
	token = token_commands;
	template = { list = list_templates; show = show_template; try = try_template };
};

local function command(words)
	for _, word in ipairs(words) do
		if word == "--help" or word == "-h" then
			io.stdout:write(usage);
			return 0;
		end
	end
	if words[1] == "check" and not words[2] then return check(); end
	local run = commands[words[1]] and commands[words[1]][words[2]];
	if not run then
		io.stderr:write(usage);
		return 1;
	end
	local plain, given = parse(words, 3);
	if not plain then return fail(given); end
	local ok, hosts = pcall(hosts_with_tokens);
	if not ok then return fail("%s", tostring(hosts)); end
	return run(plain, given, hosts);
end

return { command = command };
