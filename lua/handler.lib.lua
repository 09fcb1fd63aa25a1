-- The way of a request: from what the HTTP server hands over to the answer.

local http_server = require "net.http.server";
local now = require "util.time".monotonic;
local timer = require "util.timer";

local auth = module.import "auth";
local compose = module.import "compose";
local config = module.import "config";
local delivery = module.import "delivery";
local host = module.import "host";
local keys = module.import "idempotency";
local log = module.import "request_log";
local metrics = module.import "metrics";
local native = module.import "native";
local page = module.import "page";
local scheduler = module.import "scheduler";
local templates = module.import "templates";
local uploads = module.import "uploads";

local count_request, count_message = metrics.counter("requests"), metrics.counter("messages");
local time_answer = metrics.histogram("answer");

local function refuse(request, problem, headers) --> answer
	local status, media_type, body = native.refusal(problem, request.headers.accept, request.headers.content_type, request.request_id);
	headers = headers or {};
	headers.content_type = media_type;
	if problem.retry_after then headers.retry_after = tostring(problem.retry_after); end
	return { status_code = status; headers = headers; body = body };
end

-- Prosody's parser takes chunks for the next request, finds that they are none, and closes the
-- connection. Closed twice at once, it would lose the answer.
local function is_last(request, response, seconds)
	request.is_last, response.persistent = true, true;
	module:add_timer(seconds, function () request.conn:close(); end);
end

-- What the framing of a request makes impossible to read.
local function framing(request, response) --> problem
	local headers = request.headers;
	local length = headers.content_length;
	if length and not length:find("^%d+$") then
		is_last(request, response, 1);
		return { status = 400, detail = "Content-Length is no number of bytes, or given twice" };
	elseif not headers.transfer_encoding then
		return nil;
	elseif length then
		response.persistent = false;
		return { status = 400, detail = "Transfer-Encoding and Content-Length exclude each other; send Content-Length alone" };
	end
	is_last(request, response, 1);
	return { status = 411, detail = "the body must come with Content-Length; Transfer-Encoding is not supported" };
end

-- How a program that posts in a format of its own is answered where all went well: as the template says, or 200.
local function expected(status_code, media_type, body) --> answer
	if not status_code then return 200; end
	return { status_code = status_code; headers = { content_type = media_type }; body = body };
end

-- How the metrics and the log call what became of a message.
local outcome_words = { [200] = "delivered"; [201] = "sent"; [202] = "unconfirmed" };

local most_unheard = 100; -- requests of an account with a key that wait after their clients have gone
local unheard = setmetatable({}, { __mode = "k" }); -- such a request → its account

-- The client of a request that waits has gone. With a key, it may ask again for the outcome.
local function stop_waiting(request)
	if request.headers.idempotency_key then
		local count = 0;
		for _, account in pairs(unheard) do
			if account == request.account then count = count + 1; end
		end
		if count < most_unheard then
			unheard[request] = request.account;
			return;
		end
	end
	request.give_up();
end

-- Sends what a request says. A request that was sent and is cut short by an unload has both, a
-- problem for now and an answer for those who ask again.
local function send(request, sender) --> problem, answer, whether anything was sent
	local headers = request.headers;
	local wait = headers.prefer and native.prefers_wait(headers.prefer);
	wait = wait and math.min(wait, config.max_wait);
	if wait == 0 then wait = nil; end
	local stanza, problem, batch, reply_status, reply_type, reply = compose.read(request, sender, wait, nil);
	if problem and problem.status == 415 and not request.format then
		stanza, problem, batch = compose.read(request, sender, wait, uploads.takes_files(sender));
	end
	local take_back;
	if stanza and sender.admit then take_back, problem = sender.admit(1); end
	if problem then
		return problem;
	end
	if stanza then request.body = nil; end -- which may be large, and the wait for an outcome long

	local format = request.format;
	local json = headers.accept and native.wants_json(headers.accept) or false;
	local outcomes, many = nil, false;
	if stanza then
		local id, to, kind = stanza.attr.id, stanza.attr.to, delivery.kind_of(stanza); -- which Prosody may change
		local status, outcome = delivery.send(sender, stanza, wait, format ~= nil);
		if status and not format and not json then
			count_message(1, "sent", kind);
			log.message(request, id, sender.address, to, "sent");
			return nil, status, true; -- the short way of most requests
		end
		outcomes = scheduler.new_outcomes();
		outcome = outcome or { id = id; to = to; status = status };
		outcome.kind = kind;
		if take_back and outcome.problem and outcome.problem.unsent then take_back(1); end
		scheduler.add_outcome(outcomes, outcome);
	end

	local report = native.report(json);
	local told, failed, unreached = 0, 0, 0;
	local function tell(id, to, kind, result)
		local word = outcome_words[result] or "failed";
		told = told + 1;
		if word == "failed" then
			failed = failed + 1;
			request.failed = request.failed or result.detail;
			if result.unreached then unreached = unreached + 1; end
			-- A program tries again after a 5xx, and not after a 4xx.
			if format and result.temporary and result.status < 500 then result.status = 503; end
		end
		count_message(1, word, kind);
		log.message(request, id, sender.address, to, word);
		report:add(id, sender.address, to, result);
	end

	if batch then
		local count;
		problem, count, outcomes = delivery.send_all(sender, batch, { wait = wait; unattended = format ~= nil }, tell, function ()
			local unsent = uploads.upload(sender, batch, request.body);
			request.body = nil;
			return unsent;
		end);
		if not problem then report:keep(batch); end
		batch:release();
		if problem then
			delivery.release(outcomes);
			return problem, nil, count > 0;
		end
		many = batch:many();
		reply_status, reply_type, reply = batch:answer();
		if batch:total() == 0 then -- a template that has nothing to say
			return nil, expected(reply_status, reply_type, reply), false;
		end
		batch = nil; -- it is as large as the body
	end
	local give_up, time_limit;
	if wait then
		give_up, time_limit = delivery.limit(outcomes, wait, sender.account);
		request.give_up, request.account = give_up, sender.account;
		if request.client_gone then stop_waiting(request); end
	end
	problem = scheduler.settled(outcomes, sender.account);
	unheard[request] = nil;
	if time_limit then timer.stop(time_limit); end -- it holds the outcomes
	for _, outcome in ipairs(outcomes) do
		-- What nobody knows of when the module is unloaded was sent all the same.
		tell(outcome.id, outcome.to, outcome.kind, outcome.problem or outcome.status or 202);
		scheduler.breathe(sender.account);
	end
	delivery.release(outcomes);
	if failed > 0 and told > 1 then
		request.failed = ("%d of %d messages failed, the first: %s"):format(failed, told, request.failed);
	end
	local status, media_type, body = report:finish(many, headers.accept, headers.content_type, request.request_id);
	if format and (status == 200 or status == 201) then
		if reply_status then
			return problem, expected(reply_status, reply_type, reply), true;
		end
		status = 200;
	end
	return problem, {
		status_code = status;
		headers = { content_type = media_type; preference_applied = wait and ("wait=%d"):format(wait) or nil };
		body = body;
	}, unreached < told;
end

local faults = {}; -- template → what is wrong with it, as the log tells already

local function note_fault(name, fault)
	if faults[name] ~= fault then
		faults[name] = fault;
		module:log("error", "%s", fault);
	end
end

-- The rest of a body that was refused.
local function ignore_rest(request, response)
	response.finished = true;
	response:finish_cb();
	request.conn:close();
	return true;
end

-- mod_http allows every origin, and cannot take back a handler of an app that does not (unloaded, it raises an error): without
-- origins of its own, no other page may read what is answered here.
local function forbid_origins(headers)
	headers.access_control_allow_origin, headers.access_control_allow_methods = nil, nil;
	headers.access_control_allow_headers, headers.access_control_max_age = nil, nil;
end

-- The client has gone before its answer. Prosody does not end the request then, and would set a timer, of many minutes, to
-- a connection that is resumed after its end.
local function gone(response)
	response.conn.resume = function () end;
	response.request.client_gone = true;
	if response.request.give_up then stop_waiting(response.request); end
	response:finish_cb();
end

-- Drops what a client sends on a connection that ends. Prosody reads on if the client has hung up, also while the connection is
-- paused, and would queue each request.
local deaf = setmetatable({ onincoming = function () end }, { __index = http_server.listener });

-- A client whose requests were refused too often waits for its answer. The connection ends with it, so that no other request
-- waits: a proxy sends the requests of many clients on one connection.
local function slow_down(request, response) --> whether the connection is closed
	local seconds = host.refuse(request.ip);
	if not seconds then return false; end
	if not request.is_last then
		response.persistent = false;
		request.conn:setlistener(deaf);
	end
	if seconds > 0 then scheduler.sleep(seconds); end
	return true;
end

-- Bytes of a body that is written at once. Prosody keeps what a client does not read, and goes on with the client's next request:
-- with long answers, a few bytes of requests would fill the memory.
local longest_at_once = 4096;
local longest_piece = 32 * 1024;

local function is_long(answer) --> boolean
	local body = answer.body;
	return type(body) == "userdata" or body ~= nil and #body > longest_at_once;
end

-- A text as `send_file` reads it.
local function pieces_of(text)
	local at = 1;
	return {
		read = function ()
			local piece = text:sub(at, at + longest_piece - 1);
			at = at + #piece;
			return piece ~= "" and piece or nil;
		end;
		close = function () text = ""; end;
	};
end

-- Answers with a body that is read piece by piece, each when the client has taken the one before; the client's next request waits
-- until then. Prosody 13.0.1 loses what is beyond 4 MiB of a text, and a long text would hold the event loop.
local function send_pieces(response, answer) --> true
	local body, conn = answer.body, response.conn;
	local length = #body;
	if type(body) == "string" then body = pieces_of(body); end
	if response.finished then -- the client has gone
		body:close();
		return true;
	end
	response.status_code = answer.status_code;
	for name, value in pairs(answer.headers) do response.headers[name] = value; end
	response.headers.content_length = ("%d"):format(length);
	response.on_destroy = function ()
		body:close(); -- its memory is not Lua's
		scheduler.go_on(conn);
	end;
	response:send_file(body);
	return true; -- `send_file` returns nil where the client has gone, and the event would go on to the handler of "POST /*"
end

-- A handler of mod_http that counts, times and logs. `handle(request, response)` gives a problem and perhaps headers, or
-- an answer; and the sender, once that is known.
local function answering(handle)
	return function (event)
		local request, response = event.request, event.response;
		if request.body_sink then return ignore_rest(request, response); end
		local begun = now();
		if config.allow_origins then
			response.headers.vary, response.headers.access_control_expose_headers = "Origin", "Retry-After, X-Request-Id";
		else
			forbid_origins(response.headers);
		end
		request.request_id = log.id_of(request, response);
		response.on_destroy = gone;
		scheduler.let_timers_run(request.conn);
		local problem, answer, sender, headers = handle(request, response);
		if problem and not sender and slow_down(request, response) then
			headers = headers or {};
			headers.connection = "close";
		else
			scheduler.go_on(request.conn);
		end
		if request.body then request.body = nil; end -- as long as its connection is open, Prosody keeps the request
		if problem then
			answer = refuse(request, problem, headers);
		end
		local seconds, status = now() - begun, answer;
		if type(answer) == "table" then status = answer.status_code; end
		local detail = problem and (problem.log or problem.detail) or request.failed;
		if not detail and status >= 400 then detail = "as the first time (Idempotency-Key)"; end
		count_request(1, status);
		time_answer(seconds);
		log.answered(request, sender, status, detail, seconds);
		response.on_destroy = nil;
		if type(answer) == "table" and is_long(answer) then return send_pieces(response, answer); end
		return answer;
	end;
end

-- A browser sends the password that it remembers with whatever a page of another site makes it post. A challenge would make
-- it ask for one.
local function foreign(headers) --> problem
	local origin = headers.origin;
	if not origin and not headers.sec_fetch_site then
		return nil;
	elseif origin and config.allow_origins and config.allow_origins:contains(origin) then
		return nil;
	elseif native.is_foreign(headers, module:http_url("post_msg", "/msg")) then
		return { status = 403; detail = "a page of another site may not post here; its origin is not in post_msg_allow_origins" };
	end
end

-- Looks at framing, origin and credentials. `handle(request, sender)` gives a problem or an answer.
local function identified(handle) --> function (request, response)
	return function (request, response)
		local problem = framing(request, response);
		if problem then
			return problem, nil, nil, { connection = "close" };
		end
		if request.body == false then
			-- It is refused in any case, but not before its sender is known. The rest is read and dropped: closed before
			-- that, the connection would be reset, and a proxy that is still sending would lose the answer (RFC 9112, 9.6).
			request.body_sink = { write = function () return true; end };
			is_last(request, response, 30);
		end
		problem = foreign(request.headers);
		if problem then return problem; end
		local sender, headers;
		sender, problem, headers = auth.authenticate(request);
		if problem then
			return problem, nil, nil, headers;
		elseif request.body == false then
			return { status = 413, detail = "the request is larger than this server reads (http_max_content_size)" }, nil, sender,
				{ connection = "close" };
		end
		local query = request.url.query;
		if query then
			request.format, request.query_says = native.query(query);
		end
		if sender.as and sender.as ~= request.format then
			return { status = 403; detail = "token "..sender.token.." is for ?as="..sender.as.." only" }, nil, sender;
		end
		local answer;
		problem, answer = handle(request, sender);
		return problem, answer, sender;
	end
end

-- The methods of a path.
local function allowed(request) --> string
	return (page.file_at(page.rest_of(request)) and "GET, HEAD, " or "").."OPTIONS, POST";
end

local function post(request, sender) --> problem, answer
	local problem, answer;
	local key = request.headers.idempotency_key;
	if key then
		problem, answer = keys.once(sender, key, request, send);
	else
		problem, answer = send(request, sender);
	end
	if problem then
		if problem.status == 503 and problem.field == "as" then
			note_fault(request.format, problem.detail);
		end
	elseif request.format then
		faults[request.format] = nil; -- what breaks again is told again
	end
	return problem, answer;
end

-- What mod_http has no route for.
local function refuse_method(request, response) --> problem, answer, sender, headers
	if request.headers.transfer_encoding and not request.headers.content_length then
		is_last(request, response, 1);
	end
	return { status = 405, detail = "messages are sent with POST" }, nil, nil, { allow = allowed(request) };
end

local function options(request) --> problem, answer
	return nil, {
		status_code = 200;
		headers = { allow = allowed(request); accept = native.media_types; accept_post = native.media_types };
		body = "";
	};
end

for name, fault in pairs(templates:faults()) do note_fault(name, fault); end

return {
	post = answering(identified(post)); options = answering(options); refuse_method = answering(refuse_method);
	answering = answering; identified = identified;
};
