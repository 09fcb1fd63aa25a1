-- mod_post_msg: sends XMPP messages that are posted over HTTP.
-- The settings, the routes, and the way of a request. Everything that is read is read by the
-- native half; everything that is sent goes through delivery.lib.lua.

module:depends("http");

local http_server = require "net.http.server";
local jid = require "util.jid";
local set = require "util.set";
local st = require "util.stanza";
local resourceprep = require "util.encodings".stringprep.resourceprep;

local hosts = prosody.hosts;

local native_half = module:require "native";
local stop = native_half.stop;

-- Settings

local function option(name, kind, read)
	return function (default)
		local value = module:get_option(name);
		if value == nil then return default; end
		local good = read(value);
		if good == nil then
			stop("The setting %s is not %s", name, kind);
		end
		return good;
	end
end

local function number(name, kind, least)
	return option(name, kind, function (value)
		value = type(value) ~= "boolean" and tonumber(value) or nil;
		return value and value >= least and value < math.huge and value or nil;
	end);
end

local function whole_number(name, least)
	return option(name, "a whole number, "..least.." or more", function (value)
		value = type(value) ~= "boolean" and tonumber(value) or nil;
		return value and value >= least and value < 2^31 and value % 1 == 0 and math.floor(value) or nil;
	end);
end

local function list(name, kind, read)
	return option(name, kind, function (value)
		if type(value) == "string" then value = { value }; end
		if type(value) ~= "table" then return nil; end
		local items = set.new();
		for key, item in pairs(value) do
			local good = type(key) == "number" and type(item) == "string" and read(item);
			if not good then return nil; end
			items:add(good);
		end
		return items;
	end);
end

local mechanisms = { basic = "Basic", bearer = "Bearer" };

local settings = {
	access = list("post_msg_access", "a list of addresses and domains", jid.prep)(nil);
	auth_mechanisms = list("post_msg_auth_mechanisms", "a list of Basic and Bearer", function (name)
		return mechanisms[name:lower()];
	end)(set.new { "Basic", "Bearer" });
	require_encryption = option("post_msg_require_encryption", "true or false", function (value)
		if type(value) == "boolean" then return value; end
	end)(false);
	size_limit = whole_number("post_msg_size_limit", 1)(196608);
	recipient_limit = whole_number("post_msg_recipient_limit", 1)(100);
	batch_limit = whole_number("post_msg_batch_limit", 1)(10000);
	max_wait = whole_number("post_msg_max_wait", 0)(60);
	nick = option("post_msg_nick", "a nickname", function (value)
		local nick = type(value) == "string" and resourceprep(value);
		if nick and nick ~= "" then return nick; end
	end)(nil);
	room_linger = number("post_msg_room_linger", "a number of seconds", 0)(60);
	auth_failures = whole_number("post_msg_auth_failures", 1)(10);
	credential_recheck = number("post_msg_credential_recheck", "a number of seconds", 0)(5);
	verify_threads = whole_number("post_msg_verify_threads", 1)(1);
};

-- The native half

-- The paths under which mod_http serves an app, as it makes them of http_paths.
local function base_path()
	local normalize = require "util.http".normalize_path;
	local function configured(host)
		local paths = module:context(host):get_option("http_paths");
		return type(paths) == "table" and paths.post_msg or nil;
	end
	local path = normalize(configured(module.host) or configured("*") or "/msg");
	path = path:gsub("%$(%w+)", { host = module.host });
	return path == "/" and "" or path;
end

local base = base_path();

local native = native_half.load();

local core = native.new {
	host = module.host;
	base = base;
	size_limit = settings.size_limit;
	recipient_limit = settings.recipient_limit;
	batch_limit = settings.batch_limit;
	body_limit = module:context("*"):get_option_number("http_max_content_size", 10 * 1024 * 1024);
	auth_failures = settings.auth_failures;
	verify_threads = settings.verify_threads;
	stanza_metatable = getmetatable(st.stanza("message"));
	prep = jid.prep;
	serves = function (domain)
		return hosts[domain] ~= nil;
	end;
	has_rooms = function (domain)
		return hosts[domain] ~= nil and hosts[domain].modules.muc ~= nil;
	end;
};

local requests = module:require "requests" (core);
local auth = module:require "auth" (settings, core, requests);
local delivery = module:require "delivery" (settings, requests);
local keys = module:require "keys" (native, requests);

-- Answers

local allowed = "OPTIONS, POST";

local function refuse(request, problem, headers)
	local status, media_type, body = native.refusal(problem, request.headers.accept, request.headers.content_type);
	headers = headers or {};
	headers.content_type = media_type;
	return { status_code = status; headers = headers; body = body };
end

local function options()
	return {
		status_code = 200;
		headers = { allow = allowed; accept = native.media_types; accept_post = native.media_types };
		body = "";
	};
end

local not_allowed = { status = 405, detail = "messages are sent with POST" };

-- Prosody's parser takes chunks for the next request, finds that they are none, and closes the
-- connection. Closed twice at once, it would lose the answer.
local function is_last(request, response)
	response.persistent = true;
	module:add_timer(1, function () request.conn:close(); end);
end

-- What the framing of a request makes impossible to read.
local function framing(request, response) --> problem
	local headers = request.headers;
	local length = headers.content_length;
	if length and not length:find("^%d+$") then
		is_last(request, response);
		return { status = 400, detail = "Content-Length is no number of bytes, or given twice" };
	elseif not headers.transfer_encoding then
		return nil;
	elseif length then
		response.persistent = false;
		return { status = 400, detail = "Transfer-Encoding and Content-Length exclude each other; send Content-Length alone" };
	end
	is_last(request, response);
	return { status = 411, detail = "the body must come with Content-Length; Transfer-Encoding is not supported" };
end

-- A defect of the native half is told in one line, and the server goes on.
local function whole(ok, ...)
	if ok then return ...; end
	module:log("error", "The native half failed: %s", (tostring((...)):gsub("\n.*", "")));
	return nil, { status = 500, detail = "a defect of mod_post_msg; the server's log tells more" };
end

-- Requests

-- Sends what a request says. A request that was sent and is cut short by an unload has both, a
-- problem for now and an answer for those who ask again.
local function send(request, sender) --> problem, answer, whether anything was sent
	local headers = request.headers;
	local wait = headers.prefer and native.prefers_wait(headers.prefer);
	wait = wait and math.min(wait, settings.max_wait);
	if wait == 0 then wait = nil; end
	local stanza, problem, batch = whole(pcall(core.compose, sender.address, request.url.path,
		headers.content_type, headers.content_encoding, request.body, wait ~= nil));
	if problem then
		return problem;
	end

	local json = headers.accept and native.wants_json(headers.accept) or false;
	local outcomes, many = {}, false;
	if stanza then
		local id, to = stanza.attr.id, stanza.attr.to; -- which Prosody may change
		local status, outcome = delivery.send(sender, stanza, wait);
		if status and not json then
			return nil, status, true; -- the short way of most requests
		end
		outcomes[1] = outcome or { id = id; to = to; status = status };
	end

	local report = native.report(json);
	local function tell(id, to, result)
		report:add(id, sender.address, to, result);
	end

	if batch then
		local count;
		problem, count, outcomes = delivery.send_all(sender, batch, wait, tell);
		if problem then return problem, nil, count > 0; end
		many = batch:many();
	end
	if wait then
		delivery.limit(outcomes, wait);
	end
	problem = requests.settled(outcomes);
	for _, outcome in ipairs(outcomes) do
		-- What nobody knows of when the module is unloaded was sent all the same.
		tell(outcome.id, outcome.to, outcome.problem or outcome.status or 202);
		requests.breathe();
	end
	local status, media_type, body = report:finish(many, headers.accept, headers.content_type);
	return problem, {
		status_code = status;
		headers = { content_type = media_type; preference_applied = wait and ("wait=%d"):format(wait) or nil };
		body = body;
	}, true;
end

local function post(event)
	local request, response = event.request, event.response;
	if request.body_sink then -- the rest of a body that was refused
		response.finished = true;
		response:finish_cb();
		return true;
	end
	local problem = framing(request, response);
	if problem then
		return refuse(request, problem, { connection = "close" });
	end
	if request.body == false then
		-- It is refused in any case, but not before its sender is known.
		request.body_sink = { write = function () return true; end };
		response.persistent = false;
	end
	requests.let_timers_run(request.conn);
	local sender, headers;
	sender, problem, headers = auth.authenticate(request);
	if problem then
		return refuse(request, problem, headers);
	elseif request.body == false then
		return refuse(request, { status = 413, detail = "the request is larger than this server reads (http_max_content_size)" },
			{ connection = "close" });
	end
	local answer;
	local key = request.headers.idempotency_key;
	if key then
		problem, answer = keys.once(sender, key, request, send);
	else
		problem, answer = send(request, sender);
	end
	if problem then
		return refuse(request, problem);
	end
	return answer;
end

module:provides("http", {
	default_path = "/msg";
	streaming_uploads = true;
	route = {
		["POST"] = post;
		["POST /*"] = post;
		["OPTIONS"] = options;
		["OPTIONS /*"] = options;
	};
});

-- mod_http answers 404 to a method without a route.
local http_host = module:get_option_string("http_host", module.host);
local place = " "..http_host..base;
module:wrap_object_event(http_server._events, false, function (handlers, event_name, event)
	local result = handlers(event_name, event);
	if result == nil then
		local method, rest = event_name:match("^(%w+)(.*)$");
		if method and rest:sub(1, #place) == place and (rest == place or rest:sub(#place + 1, #place + 1) == "/") then
			local request = event.request;
			if request.headers.transfer_encoding and not request.headers.content_length then
				is_last(request, event.response);
			end
			return refuse(request, not_allowed, { allow = allowed });
		end
	end
	return result;
end);

local function stop_all()
	requests.stop();
	delivery.stop();
end

module:hook_global("server-stopping", stop_all, 100);
module.unload = stop_all;
