-- Idempotency keys: a repeated request gets the answer of the first one, and sends nothing.

local json = require "util.json";
local sha256 = require "util.hashes".sha256;

local counters = module.import "counters";
local feed = module.import "feed";
local key_store = module.import "key_store";
local native = module.import "native";
local problems = module.import "problems";
local scheduler = module.import "scheduler";

local small_body = 4096; -- bytes of a body that is hashed in one call
local longest_answer = 16 * 1024; -- bytes of an answer's body that is kept

local running_requests = setmetatable({}, { __mode = "v" }); -- name of a key → coroutine of its request

-- A request that has raised an error is dead, and does not block its key.
local function is_running(name) --> boolean
	local worker = running_requests[name];
	return worker ~= nil and coroutine.status(worker) ~= "dead";
end

counters.register("requests_with_keys", function ()
	local count = 0;
	for name in pairs(running_requests) do
		if is_running(name) then count = count + 1; end
	end
	return count;
end);

local function is_valid(key) --> boolean
	return #key >= 1 and #key <= 255 and not key:find("[^\33-\126]");
end

-- The parts of a request, except the body, that a repeated request must have too. The boundary of multipart may differ.
local function head_of(exchange) --> string, boundary or nil
	local headers, parameters = exchange.headers, exchange.parameters;
	local path, coding = exchange.path, headers.content_encoding or "";
	local media_type, boundary = exchange.native:media_type();
	if parameters and parameters ~= "" then path = path.."?"..parameters; end
	local seen_headers = exchange.format and exchange.native:seen_headers(exchange.sender.template);
	if seen_headers and seen_headers ~= "" then path = path.."\n"..seen_headers; end
	if headers.content_disposition then path = path.."\n"..headers.content_disposition; end -- the name of a file
	return #path..":"..path..#media_type..":"..media_type..#coding..":"..coding, boundary;
end

local function fingerprint(exchange) --> string, or nil if the request cannot go on
	local body = exchange.body;
	local head, boundary = head_of(exchange);
	if #body <= small_body and not boundary then
		return sha256(head..#body..":"..body, true);
	end
	local digest = native.digest(head..(boundary and "" or #body)..":", boundary);
	return feed(digest, body, exchange.sender.account) and digest:finish() or nil;
end

-- Replaces an answer that is too large to keep by a sentence, in the media type that the client accepts.
local function replacement(answer, exchange) --> answer
	local problem = problems.of_status(answer.status_code, "the first answer to this Idempotency-Key was too large to be kept; nothing was sent again");
	local kept = { status_code = problem.status; headers = { preference_applied = answer.headers.preference_applied } };
	if problem.status >= 400 then
		kept.status_code, kept.headers.content_type, kept.body = exchange.native:refusal(problem, true);
	elseif exchange.native:wants_json() then
		kept.headers.content_type, kept.body = "application/json", json.encode { detail = problem.detail };
	else
		kept.headers.content_type, kept.body = "text/plain; charset=utf-8", problem.detail.."\n";
	end
	return kept;
end

local function answer_to_keep(answer, exchange) --> answer
	if type(answer) ~= "table" then return answer; end
	local is_small = type(answer.body) == "string" and #answer.body <= longest_answer;
	return is_small and answer or replacement(answer, exchange);
end

-- Looks for the first request with a key.
local function find_first(exchange, name, request_hash) --> entry, or nil if this request is the first; or nil, problem
	local entry, err = key_store.find(name, exchange.sender);
	if err then
		module:log("error", "Idempotency keys cannot be read: %s", err);
		return nil, problems.new("unavailable", "the server cannot check now whether this Idempotency-Key was used; try again");
	elseif entry and entry.fingerprint ~= request_hash then
		return nil, problems.new("unprocessable", "this Idempotency-Key was used for another request; use a new one");
	end
	return entry;
end

local function check_limits(name) --> true if another key can be kept; or nil, problem
	if key_store.is_full(name) then
		return nil, problems.new("key_limit");
	end
	local seconds = key_store.seconds_until_free();
	if seconds then
		return nil, problems.new("unavailable", "idempotency keys cannot be stored now; try again", { retry_after = seconds });
	end
	return true;
end

local function send_and_keep(exchange, name, request_hash, send) --> answer; or nil, problem
	local answer, problem = send(exchange);
	if exchange.has_sent then
		local kept = answer or exchange.kept_answer;
		-- If Prosody were killed after the key is stored and before the messages have left this process, the key would survive, and the
		-- messages would not.
		scheduler.flush(exchange.sender.account);
		key_store.keep(name, exchange.sender, {
			time = os.time(); fingerprint = request_hash;
			problem = not kept and problem or nil; answer = answer_to_keep(kept, exchange);
		});
	end
	return answer, problem;
end

local function answer_once(exchange, name, send) --> answer; or nil, problem
	local request_hash = fingerprint(exchange);
	if not request_hash then return nil, problems.new("unloaded"); end
	local entry, problem = find_first(exchange, name, request_hash);
	if entry then
		return entry.answer, entry.problem;
	elseif problem then
		return nil, problem;
	end
	local ok;
	ok, problem = check_limits(name);
	if not ok then return nil, problem; end
	return send_and_keep(exchange, name, request_hash, send);
end

-- Sends a request once. `send(exchange)` returns the same values as this function. It sets `exchange.has_sent`: whether any message was
-- sent. If the request has a problem, `exchange.kept_answer` is the answer for a repeated request.
local function send_once(exchange, key, send) --> answer; or nil, problem
	if not is_valid(key) then
		return nil, problems.new("malformed", "Idempotency-Key is 1 to 255 visible ASCII characters");
	end
	local name = key_store.name_of(exchange.sender, key);
	if is_running(name) then
		return nil, problems.new("conflict", "another request with this Idempotency-Key has no answer yet; wait for it");
	end
	running_requests[name] = coroutine.running();
	local answer, problem = answer_once(exchange, name, send);
	running_requests[name] = nil;
	return answer, problem;
end

return { send_once = send_once };
