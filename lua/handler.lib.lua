-- Handles an HTTP request: checks framing, origin and credentials, does the work, and writes the answer.
--
-- All data of one request is in one table, the exchange:
--   request, response   Prosody's
--   headers, ip         headers and client address of the request
--   path, query         as they were in the request line
--   body                nil once it is not needed; false if it is larger than Prosody reads
--   id                  its name in the log (X-Request-Id)
--   native              the request in the native half (src/binding/request.rs)
--   format, parameters  from the query: the format of another program, and the fields of the message, as text
--   sender              nil until the credentials are verified (auth.lib.lua)
--   is_get              whether the method is GET
--   wants_receipt, takes_files   whether its messages ask for receipts, and whether files can be uploaded
--   has_sent, kept_answer, failure, give_up, is_abandoned   see sending.lib.lua

local now = require "util.time".monotonic;

local auth = module.import "auth";
local config = module.import "config";
local connections = module.import "connections";
local framing = module.import "framing";
local host = module.import "host";
local idempotency = module.import "idempotency";
local log = module.import "request_log";
local metrics = module.import "metrics";
local native = module.import "native";
local page_files = module.import "page_files";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local sending = module.import "sending";
local server = module.import "prosody";
local templates = module.import "templates";
local write_long = module.import "long_answer".write;

local count_request, time_answer = metrics.counter("requests"), metrics.histogram("answer");

local function new_exchange(event) --> exchange
	local request, response = event.request, event.response;
	local exchange = {
		request = request; response = response; headers = request.headers; ip = request.ip; body = request.body;
		path = request.url.path; query = request.url.query; id = log.id_of(request, response);
		sender = nil; -- reserves space for this and the other fields: growing the table later costs time
	};
	exchange.native = host:request(exchange);
	if request.body then request.body = nil; end -- Prosody keeps the request as long as its connection is open
	return exchange;
end

local function refusal(exchange, problem) --> answer
	local headers = {};
	for name, value in pairs(problem.headers or {}) do headers[name] = value; end
	local status, media_type, body = exchange.native:refusal(problem, false, not exchange.sender and exchange.path or nil);
	headers.content_type = media_type;
	if problem.retry_after then headers.retry_after = ("%d"):format(problem.retry_after); end
	return { status_code = status; headers = headers; body = body };
end

-- mod_http allows every origin, and its setting for one app cannot be undone (it raises an error when the app is unloaded). Without
-- post_msg_allow_origins, a page of another site may not read an answer.
local function set_origins(response)
	local headers = response.headers;
	if config.allow_origins then
		headers.vary, headers.access_control_expose_headers = "Origin", "Retry-After, X-Request-Id";
	else
		headers.access_control_allow_origin, headers.access_control_allow_methods = nil, nil;
		headers.access_control_allow_headers, headers.access_control_max_age = nil, nil;
	end
end

-- A client whose requests were refused too often waits for its answer. The connection ends with the answer, so that no other
-- request waits: a proxy sends the requests of many clients on one connection.
local function slow_down(exchange) --> whether the connection is closed
	local seconds = exchange.native:refuse();
	if not seconds then return false; end
	if not exchange.is_last then
		server.set_persistent(exchange.response, false);
		server.ignore_input(exchange.request.conn);
	end
	if seconds > 0 then scheduler.sleep(seconds); end
	return true;
end

local function conclude(exchange, answer, problem) --> answer
	if problem and not exchange.sender and slow_down(exchange) then
		problem.headers = problem.headers or {};
		problem.headers.connection = "close";
	else
		connections.read_rest(exchange.request.conn);
	end
	exchange.body = nil;
	return problem and refusal(exchange, problem) or answer;
end

-- Counts, times and logs an answer.
local function record(exchange, answer, problem, seconds)
	local status = type(answer) == "table" and answer.status_code or answer;
	local detail = problem and (problem.log or problem.detail) or exchange.failure;
	if not detail and status >= 400 then detail = "as the first time (Idempotency-Key)"; end
	count_request(1, status);
	time_answer(seconds);
	log.log_answer(exchange, status, detail, seconds);
end

-- Makes a handler for mod_http. `handle(exchange)` returns an answer, which is a status or { status_code, headers, body }; or nil and a
-- problem.
local function new_handler(handle) --> function (event)
	return function (event)
		local request, response = event.request, event.response;
		if server.is_discarded(request) then return server.end_discarded(request, response); end
		local start_time = now();
		local exchange = new_exchange(event);
		set_origins(response);
		server.on_client_gone(response, sending.abandon, exchange);
		connections.yield_to_timers(request.conn);
		local answer, problem = handle(exchange);
		answer = conclude(exchange, answer, problem);
		record(exchange, answer, problem, now() - start_time);
		server.forget_client(response);
		exchange.native:release();
		return write_long(response, answer) or answer;
	end;
end

-- A page of another site can make the browser post here, and the browser then adds the password that it remembers. A challenge would
-- make the browser ask its user for a password.
local function check_origin(exchange) --> true; or nil, problem
	local headers = exchange.headers;
	local origin = headers.origin;
	if not origin and not headers.sec_fetch_site then
		return true;
	elseif origin and config.allow_origins and config.allow_origins:contains(origin) then
		return true;
	elseif exchange.native:is_foreign(module:http_url("post_msg", "/msg")) then
		return nil, problems.new("foreign_origin");
	end
	return true;
end

local function check_format(exchange) --> true; or nil, problem
	local sender = exchange.sender;
	if exchange.query then
		exchange.format, exchange.parameters = exchange.native:query();
	end
	if sender.as and not exchange.format then
		exchange.format, exchange.parameters = exchange.native:query(sender.as);
	elseif sender.as and sender.as ~= exchange.format then
		return nil, problems.new("forbidden", ("token %s is for ?as=%s only"):format(sender.token, sender.as));
	end
	return true;
end

-- Returns a function that checks framing, origin and credentials, in this order, and then calls `handle`.
local function with_sender(handle) --> function (exchange)
	return function (exchange)
		local ok, problem = framing.check(exchange);
		if not ok then return nil, problem; end
		ok, problem = check_origin(exchange);
		if not ok then return nil, problem; end
		exchange.sender, problem = auth.authenticate(exchange);
		if not exchange.sender then return nil, problem; end
		ok, problem = check_format(exchange);
		if not ok then return nil, problem; end
		if exchange.body == false then
			return nil, problems.new("too_large", "the request is larger than this server reads (http_max_content_size)",
				{ headers = { connection = "close" } });
		end
		return handle(exchange);
	end
end

local faults = {}; -- template → its fault that was logged last

local function note_fault(name, fault)
	if faults[name] ~= fault then
		faults[name] = fault;
		module:log("error", "%s", fault);
	end
end

for name, fault in pairs(templates:faults()) do note_fault(name, fault); end

local function post(exchange) --> answer; or nil, problem
	local key = exchange.headers.idempotency_key;
	local answer, problem;
	if key then
		answer, problem = idempotency.send_once(exchange, key, sending.send);
	else
		answer, problem = sending.send(exchange);
	end
	if problem and problem.kind == "broken_template" then
		note_fault(exchange.format, problem.detail);
	elseif not problem and exchange.format then
		faults[exchange.format] = nil; -- the next fault is logged again
	end
	return answer, problem;
end

-- The methods of a path.
local function allowed_methods(exchange) --> string
	return ((page_files.has(exchange) or exchange.native:page(exchange.path)) and "GET, HEAD, " or "").."OPTIONS, POST, PUT";
end

-- Answers a request that mod_http has no route for.
local function refuse_method(exchange) --> nil, problem
	framing.check_method(exchange);
	return nil, problems.new("method_not_allowed", nil, { headers = { allow = allowed_methods(exchange) } });
end

local prefetch_headers = { "sec_purpose", "purpose", "x_moz" };

-- Whether a browser asks for a page that nobody may ever see.
local function is_prefetch(headers) --> boolean
	for _, name in ipairs(prefetch_headers) do
		local purpose = headers[name] and headers[name]:lower();
		if purpose and (purpose:find("prefetch", 1, true) or purpose:find("prerender", 1, true) or purpose:find("preview", 1, true)) then
			return true;
		end
	end
	return false;
end

-- Some programs ask for the version of their server before they post. `format`: only its programs.
local function page(exchange, format) --> answer or nil
	local text = exchange.native:page(exchange.path, format);
	return text and { status_code = 200; headers = { content_type = "application/json" }; body = text };
end

local function post_by_get(exchange) --> answer; or nil, problem
	local format, may_send = exchange.format, exchange.sender.get;
	-- To a token that may send, another path is a recipient.
	local answer = (format or not may_send) and page(exchange, may_send and format or nil);
	if answer then return answer; end
	if not exchange.sender.get then return refuse_method(exchange); end
	if is_prefetch(exchange.headers) then return nil, problems.new("forbidden", "a prefetch sends no message"); end
	exchange.body, exchange.is_get = "", true;
	return post(exchange);
end

-- Devices that can only call a URL send by GET, with a token that permits it.
local function get(exchange) --> answer; or nil, problem
	server.forbid_storing(exchange.response);
	if exchange.request.method ~= "GET" or not auth.has_token(exchange) then
		local answer = page(exchange);
		if answer then return answer; end
		return refuse_method(exchange);
	end
	return with_sender(post_by_get)(exchange);
end

local function options(exchange) --> answer
	return {
		status_code = 200;
		headers = { allow = allowed_methods(exchange); accept = native.media_types; accept_post = native.media_types };
		body = "";
	};
end

return {
	get = new_handler(get); post = new_handler(with_sender(post)); options = new_handler(options); refuse_method = new_handler(refuse_method);
	new_handler = new_handler; with_sender = with_sender;
};
