-- Requests slots of an upload service (XEP-0363). A slot has the URL to upload a file to, and the URL to read it from.

local jid_host = require "util.jid".host;
local st = require "util.stanza";

local native = module.import "native";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local sessions = module.import "sessions";
local upload_service = module.import "upload_service";

local hosts = prosody.hosts;

local xmlns_upload = "urn:xmpp:http:upload:0";

local patience = 20; -- seconds for a service to answer
local longest_header = 4096; -- bytes of a header's value

-- The headers that a slot may name (XEP-0363, section 5).
local allowed_headers = { authorization = "Authorization"; cookie = "Cookie"; expires = "Expires" };

-- Conditions of a service that may be back in a moment.
local away_conditions = {
	["item-not-found"] = true; ["recipient-unavailable"] = true; ["service-unavailable"] = true;
	["remote-server-not-found"] = true; ["remote-server-timeout"] = true;
};

local function problem_of(answer, jid) --> problem
	local problem = problems.of_error(answer, jid);
	problem.unreached = nil; -- `unreached` is about the server of a message's recipient
	local err = answer:get_child("error");
	if err and err:get_child("file-too-large", xmlns_upload) then problem.status = 413; end
	return problem;
end

local function ask(sender, jid, payload) --> answer, a stanza; or nil, problem
	local answer;
	local goes_on = scheduler.suspend(function (wake)
		local session = sessions.new(sender, sessions.new_address(sender));
		sessions.ask(session, { to = jid; payload = payload; seconds = patience }, function (stanza)
			answer = stanza;
			wake();
		end);
	end, sender.account);
	if not goes_on then
		return nil, problems.new("unloaded");
	elseif not answer then
		return nil, problems.new("remote_timeout", jid..": no answer in "..patience.." seconds");
	elseif answer.attr.type == "error" then
		return nil, problem_of(answer, jid);
	end
	return answer;
end

-- The value of a slot's header; nil if it is not valid in a request.
local function header_value(header) --> string or nil
	local value = #header.tags == 0 and header:get_text();
	value = value and value:gsub("[\r\n]", ""); -- XEP-0363, section 5
	return value and value ~= "" and #value <= longest_header and not value:find("%c") and value or nil;
end

local function headers_of(put, file, jid) --> headers of the upload; or nil, problem
	local headers = { ["Content-Type"] = file.type };
	for header in put:childtags("header") do
		local name = allowed_headers[tostring(header.attr.name):lower()];
		local value = name and header_value(header);
		if name and not value then
			return nil, problems.new("bad_gateway", ("%s: the slot's header %s has a value that is not valid in a request"):format(jid, name));
		elseif name then
			headers[name] = value;
		end
	end
	return headers;
end

local function read(answer, file, jid) --> slot; or nil, problem
	local element = answer:get_child("slot", xmlns_upload);
	local put, get = element and element:get_child("put"), element and element:get_child("get");
	local put_url, is_https = native.link(put and put.attr.url or "");
	local get_url = native.link(get and get.attr.url or "");
	if not put_url or not get_url then
		return nil, problems.new("bad_gateway", jid..": the upload service returns no slot with two URLs of http or https");
	elseif not is_https and not hosts[jid_host(jid)] then
		return nil, problems.new("bad_gateway", jid..": the upload service of another server wants the file without https");
	end
	local headers, problem = headers_of(put, file, jid);
	if not headers then return nil, problem; end
	return { put_url = put_url; headers = headers; get_url = get_url };
end

-- Requests a slot for a file of `size` bytes.
local function request(sender, service, file, size) --> slot { put_url, headers, get_url }; or nil, problem
	local answer, problem = ask(sender, service.jid,
		st.stanza("request", { xmlns = xmlns_upload; filename = file.name; size = ("%d"):format(size); ["content-type"] = file.type }));
	if answer then return read(answer, file, service.jid); end
	if away_conditions[problem.condition] then
		upload_service.forget(sender.host);
		problem.status = 503;
	end
	return nil, problem;
end

return { request = request };
