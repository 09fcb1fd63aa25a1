-- `prosodyctl mod_post_msg start`: the first message.

local json = require "util.json";
local jid_join = require "util.jid".join;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local urlencode = require "util.http".urlencode;

local endpoints = module.import "endpoints";
local fail = module.import "command_line".fail;
local hosts = module.import "prosodyctl_hosts";
local reachability = module.import "reachability";
local server = module.import "prosody";
local show = module.import "display".show;
local token_spec = module.import "token_spec";

local wait = 5; -- seconds for a receipt of the recipient's client
local patience = 40; -- seconds for the answer: a room may take 20 seconds to join, and 20 to reflect the message

-- A backend that cannot tell returns another error than mod_auth_internal_hashed for a wrong name.
local function is_missing(host, username) --> boolean
	local exists, err = server.has_account(host, username);
	return not exists and (err == nil or tostring(err):find("Invalid username", 1, true) ~= nil);
end

-- The account that sends.
local function find_sender(address) --> { address, username, host, tokens }; or nil and a sentence
	local username, host, resource = jid_split(jid_prep(address));
	if not username or resource then
		return nil, address.." is not the address of an account; write user@example.com";
	elseif server.configured(host, "enabled") == false then
		return nil, ("VirtualHost \"%s\" is switched off; delete its line enabled = false, and restart Prosody"):format(host);
	elseif not server.is_virtual_host(host) then
		return nil, ("%s is not a VirtualHost of this server (these are: %s). If it should be one, %s"):format(host,
			table.concat(server.virtual_hosts(), ", "), hosts.how_to_load(host));
	elseif not hosts.has_accounts(host) then
		return nil, host.." has no accounts (authentication = \"anonymous\"); name an account of another host";
	elseif not hosts.has_module(host) then
		return nil, ("%s does not load the module. Before a restart of Prosody (systemctl restart prosody), %s"):format(host, hosts.how_to_load(host));
	end
	local tokens = hosts.tokens(host); -- this initializes the accounts of the host too
	if is_missing(host, username) then
		return nil, ("There is no account %s@%s; make it: prosodyctl adduser %s@%s"):format(username, host, username, host);
	end
	return { address = username.."@"..host; username = username; host = host; tokens = tokens };
end

-- A word without "@" is an account of the sender's host, or a host of this server, as in a request.
local function find_recipient(word, sender) --> { address, bare, is_here }; or nil and a sentence
	local address = word:gsub("^xmpp:", ""); -- RFC 5122
	local username, host, resource = jid_split(jid_prep(address));
	if not host then return nil, word.." is not an address; write user@example.com"; end
	if not username and not server.is_host(host) and address == word then username, host = host, sender.host; end
	local bare = jid_join(username, host);
	if username and server.is_virtual_host(host) and hosts.has_accounts(host) then
		if host ~= sender.host then server.initialize_host(host); end
		if is_missing(host, username) then return nil, ("There is no account %s; make it: prosodyctl adduser %s"):format(bare, bare); end
	end
	return { address = jid_join(username, host, resource); bare = bare; is_here = server.is_host(host) };
end

-- The first URL that works, for programs on other machines if possible.
local function find_endpoint(host) --> endpoint, sentence about other machines or nil; or nil and a sentence
	local working, faults = reachability.examine(host);
	if faults["local"] and faults["local"].step == "unloaded" then return nil, faults["local"].sentence; end
	local sentence = reachability.fault_for_others(working, faults);
	for _, endpoint in ipairs(working) do
		if endpoint.way ~= "plain" then return endpoint, endpoint.way == "local" and host ~= "localhost" and sentence or nil; end
	end
	return nil, faults["local"] and faults["local"].sentence or sentence;
end

-- A path element in a URL (RFC 3986). "@" needs no encoding, and is easier to read.
local function encode(text) --> text
	return (urlencode(text):gsub("%%40", "@"));
end

local function curl_line(endpoint, recipient, token) --> text
	local words = { "curl", endpoint.url.."/"..encode(recipient) };
	if endpoint.host_header then words[#words + 1] = ("-H 'Host: %s'"):format(endpoint.host_header); end
	words[#words + 1] = ("-H 'Authorization: Bearer %s' -H 'Content-Type: text/plain' -d 'Hello'"):format(token);
	return table.concat(words, " ");
end

-- What became of a message.
local function describe(status, recipient) --> sentence, or nil
	if status == 200 then return recipient.address.." has received the message."; end
	if status == 201 then return "The message was sent to "..recipient.address.."."; end
	if status ~= 202 then return nil; end
	return ("The message was sent to %s, but not confirmed. %s"):format(recipient.address, recipient.is_here
		and "If nobody is logged in there, the server delivers it later." or "The recipient's server may still return it.");
end

local function post(endpoint, recipient, token) --> sentence; or nil and a sentence
	local answer, fault = endpoints.request(endpoint, "/"..encode(recipient.address), {
		method = "POST"; timeout = patience; body = "Hello from mod_post_msg";
		headers = {
			authorization = "Bearer "..token; accept = "application/json"; prefer = "wait="..wait; ["content-type"] = "text/plain";
		};
	});
	if not answer then return nil, ("%s does not answer (%s)"):format(endpoint.url, fault.detail); end
	local result = describe(answer.status, recipient);
	if result then return result; end
	local problem = json.decode(answer.body);
	local detail = type(problem) == "table" and type(problem.detail) == "string" and problem.detail;
	return nil, ("No message was sent (%s): %s"):format(answer.status, detail and show(detail, #detail) or "the answer has no reason");
end

local function start(words) --> exit status
	local sender, sentence = find_sender(words[1]);
	if not sender then return fail("%s", sentence); end
	local recipient;
	recipient, sentence = find_recipient(words[2], sender);
	if not recipient then return fail("%s", sentence); end
	local endpoint, limit = find_endpoint(sender.host);
	if not endpoint then return fail("%s: %s", sender.host, limit); end
	local entry, problem = token_spec.read({ to = { recipient.bare }; label = "First message" }, os.time(), hosts.templates(sender.host));
	if not entry then return fail("%s", problem.detail); end
	local token, id = sender.tokens:add(sender.username, entry);
	if not token then return fail("No token of %s was made: %s", sender.address, id.detail); end
	local result;
	result, sentence = post(endpoint, recipient, token);
	if not result then
		sender.tokens:revoke(id, os.time());
		return fail("%s", sentence);
	end
	io.stdout:write(result, "\nThis line sends the next message:\n\n", curl_line(endpoint, recipient.address, token),
		"\n\nIt prints nothing if the message was sent. ",
		("Its token can only send to %s, as %s. To delete it: prosodyctl mod_post_msg token revoke %s\n"):format(recipient.bare, sender.address, id));
	if limit then io.stdout:write("The line works on this machine only. ", limit, "\n"); end
	return 0;
end

return {
	commands = { {
		name = "start"; arguments = { "FROM"; "TO" }; run = start;
		hint = "Say who sends and who receives: start me@example.com user@example.com";
		description = "sends a first message, says what became of it, and prints the curl line that sends the next one. It makes a sending token\n"
			.."of the account FROM, which can only send to TO. If something is missing, it says what to write where.";
	} };
};
