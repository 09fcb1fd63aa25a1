-- `prosodyctl mod_post_msg token …`: sending tokens, for an administrator.

local jid_split = require "util.jid".prepped_split;

local endpoints = module.import "endpoints";
local fail = module.import "command_line".fail;
local hosts = module.import "prosodyctl_hosts";
local server = module.import "prosody";
local token_rows = module.import "token_rows";
local token_spec = module.import "token_spec";

-- The account that an address names, and the store of its host's tokens.
local function find_account(address) --> { address, username, host, tokens }; or nil and a sentence
	local username, host, resource = jid_split(address);
	if not username or resource then
		return nil, address.." is not the address of an account; write user@example.com";
	end
	local tokens = hosts.tokens(host);
	if not tokens then
		return nil, host.." is not a host of this server with mod_post_msg";
	end
	return { address = username.."@"..host; username = username; host = host; tokens = tokens };
end

local longest_template = 16 * 1024; -- bytes: token_spec refuses more

local function read_file(path) --> text; or nil and a sentence
	local file, err = io.open(path, "rb");
	local text = file and (file:read(longest_template + 1) or "");
	if file then file:close(); end
	if not text then return nil, ("The template cannot be read by the user that Prosody runs as: %s"):format(err or path); end
	return text;
end

-- Says what to enter in the program for whose format a token was made.
local function print_settings(host, entry)
	if not entry.as then return; end
	local topic = not token_spec.has_one_address(entry) and "RECIPIENT" or nil;
	local lines = hosts.templates(host):enter(entry.as, endpoints.url(host), topic, "TOKEN");
	io.stderr:write("The settings of the program; TOKEN stands for this token:\n", (lines:gsub("[^\n]+", "  %0")), "\n");
end

local function add(words, values) --> exit status
	local account, sentence = find_account(words[1]);
	if not account then
		return fail("%s", sentence);
	elseif not server.has_account(account.host, account.username) then
		return fail("There is no account %s", account.address);
	end
	if values.template then
		local text;
		text, sentence = read_file(values.template);
		if not text then return fail("%s", sentence); end
		values.template = text;
	end
	local entry, problem = token_spec.read(values, os.time(), hosts.templates(account.host));
	local token, id;
	if entry then
		token, id = account.tokens:add(account.username, entry);
		problem = id;
	end
	if not token then
		return fail("No token of %s was made: %s", account.address, problem.detail);
	end
	io.stderr:write(("Made the token %s of %s. It is shown only now:\n"):format(id, account.address));
	io.stdout:write(token, "\n");
	io.stdout:flush();
	print_settings(account.host, entry);
	return 0;
end

-- A line of a list: id, account, and the other columns, each after its name. The label comes last, as it may contain spaces.
local function line_of(token, address) --> string
	local row = token_rows.new(token);
	local parts = { row.id, address };
	local function add_part(name, value)
		if value then parts[#parts + 1] = name.." "..value; end
	end
	row.to = row.to and table.concat(row.to, ",");
	row.used = row.used or "never";
	for _, name in ipairs(token_rows.columns) do
		if name ~= "id" and name ~= "label" then add_part(name, row[name]); end
	end
	add_part("webhook", row.signed and "signed" or nil);
	add_part("label", row.label);
	return table.concat(parts, "  ");
end

local function print_tokens(tokens, username, address) --> exit status
	local list_of_tokens, problem = tokens:list(username, os.time());
	if not list_of_tokens then return fail("%s: %s", address, problem.detail); end
	for _, token in ipairs(list_of_tokens) do io.stdout:write(line_of(token, address), "\n"); end
	return 0;
end

local function print_tokens_of_host(host) --> exit status
	local tokens = hosts.tokens(host);
	local accounts, state, first = tokens:accounts();
	if not accounts then return fail("The tokens of %s cannot be listed", host); end
	local status = 0;
	for username in accounts, state, first do
		status = math.max(status, print_tokens(tokens, username, username.."@"..host));
	end
	return status;
end

local function list(words) --> exit status
	if words[1] then
		local account, sentence = find_account(words[1]);
		if not account then return fail("%s", sentence); end
		return print_tokens(account.tokens, account.username, account.address);
	end
	local status = 0;
	for _, host in ipairs(hosts.names()) do
		status = math.max(status, print_tokens_of_host(host));
	end
	return status;
end

local function revoke(words) --> exit status
	local id = words[1];
	for _, host in ipairs(hosts.names()) do
		local username, problem = hosts.tokens(host):revoke(id, os.time());
		if username then
			io.stderr:write(("Revoked the token %s of %s@%s\n"):format(id, username, host));
			return 0;
		elseif problem.kind ~= "unknown_token" then
			return fail("%s: %s", host, problem.detail);
		end
	end
	return fail("There is no token with the id %s", id);
end

local options = {
	{ name = "to"; value = "ADDRESS-OR-DOMAIN"; can_repeat = true; description = "may send only there" };
	{ name = "as"; value = "NAME"; description = "may send only this format (alertmanager, github, ...), and the URL needs no ?as=" };
	{ name = "template"; value = "FILE"; description = "the template of its messages, with --as json" };
	{ name = "get"; description = "may also send by GET, for devices that can only call a URL" };
	{ name = "replies"; description = "may ask for replies" };
	{ name = "nick"; value = "NAME"; description = "its messages show this name" };
	{ name = "expires"; value = "TIME"; description = "expires after this time: 30s, 15m, 12h, 90d" };
	{ name = "rate"; value = "N"; description = "may send N messages a minute" };
	{ name = "label"; value = "TEXT"; description = "what it is for" };
	{
		name = "webhook-secret"; value = "TEXT";
		description = "the secret with which GitHub, Gitea or GitLab sign their webhooks; sends only what is signed";
	};
};

return {
	introduction = "A sending token lets a program send messages over HTTP in the name of an account, and do nothing else.";
	commands = {
		{
			name = "token add"; arguments = { "ADDRESS" }; options = options; run = add;
			hint = "Say for which account: token add user@example.com";
			description = "makes a token, and prints it on standard output; it is shown only now. Its id goes to standard error.";
		};
		{
			name = "token list"; arguments = { "[ADDRESS]" }; run = list;
			description = "prints a line for each token: its id, account and limits, when it was made, and when it was used last (UTC).";
		};
		{
			name = "token revoke"; arguments = { "ID" }; run = revoke;
			hint = "Say which token, by its id: token revoke 0123456789abcdef";
			description = "deletes a token. A running server rejects it within post_msg_credential_recheck seconds.";
		};
	};
};
