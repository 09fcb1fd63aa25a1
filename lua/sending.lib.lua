-- Sends the messages of a request, and makes the answer from their outcomes.

local compose = module.import "compose";
local config = module.import "config";
local delivery = module.import "delivery";
local log = module.import "request_log";
local metrics = module.import "metrics";
local new_list = module.import "outcome_list".new;
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local uploads = module.import "uploads";

local count_message = metrics.counter("messages");

-- The outcome of a message in metrics and log, by its status.
local outcome_words = { [200] = "delivered"; [201] = "sent"; [202] = "unconfirmed" };

local no_options, unattended = {}, { unattended = true };

-- The work on the messages of one request: { exchange, sender, batch, total, wait, unattended, outcomes, report, files, … }.
local sending = { reported_count = 0, failed_count = 0, unreached_count = 0, sent_count = 0 };
sending.__index = sending;

-- The seconds for which a request wants to wait for receipts.
local function seconds_to_wait(exchange) --> number or nil
	local wait = exchange.native:wait();
	wait = wait and math.min(wait, config.max_wait);
	return wait ~= 0 and wait or nil;
end

local function new(exchange, batch, wait) --> sending
	return setmetatable({
		exchange = exchange; sender = exchange.sender; batch = batch; wait = wait;
		unattended = exchange.format; -- a program with a format of its own cannot correct a refused message
		is_json = exchange.headers.accept and exchange.native:wants_json() or nil;
	}, sending);
end

-- The outcomes that are not known yet.
function sending:awaited() --> list
	self.outcomes = self.outcomes or new_list(self.sender.account);
	return self.outcomes;
end

-- Does everything that must succeed before the first message is sent.
function sending:prepare() --> true; or nil, problem
	local exchange, sender, batch = self.exchange, self.sender, self.batch;
	local ok, problem;
	-- A single message needs no place: its request has a connection of its own.
	if batch:is_many() and (self.wait or batch:to_rooms()) then
		ok, problem = self:awaited():reserve(self.total);
		if not ok then return nil, problem; end
	end
	if sender.admit then
		self.take_back, problem = sender.admit(self.total);
		if not self.take_back then return nil, problem; end
	end
	self.files, problem = uploads.upload(sender, batch, exchange.body);
	exchange.body = nil; -- frees it: it may be large, and the request may wait long
	return self.files ~= nil, problem;
end

-- Whether the answer to a success is a status without a body.
function sending:is_plain() --> boolean
	return self.total == 1 and not (self.is_json or self.wait or self.exchange.format);
end

-- Counts, logs and reports an outcome.
function sending:record(outcome)
	local exchange, result = self.exchange, outcome.problem or outcome.status or 202; -- an unknown outcome at unload counts as sent
	local word = outcome_words[result] or "failed";
	self.reported_count = self.reported_count + 1;
	if word == "failed" then
		self.failed_count = self.failed_count + 1;
		self.problem = self.problem or result;
		exchange.failure = exchange.failure or result.detail;
		if result.unreached then self.unreached_count = self.unreached_count + 1; end
		-- A program repeats its request after a 5xx, and not after a 4xx.
		if exchange.format and result.temporary and result.status < 500 then result.status = 503; end
	end
	count_message(1, word, outcome.kind);
	log.log_message(exchange, outcome, word);
	if result ~= 201 or not self:is_plain() then
		self.report = self.report or exchange.native:report();
		self.report:add(outcome.id, self.sender.address, outcome.to, result, self.files and self.files[outcome.id]);
	end
end

-- Sends the messages in order. An outcome is recorded at once, unless an earlier one is not known yet.
function sending:send_all() --> true; or nil, problem
	local batch, has_begun = self.batch, false;
	for stanza in batch.next, batch do
		if has_begun and not scheduler.breathe(self.sender.account) then
			return nil, problems.new("unsent",
				("the module was unloaded after %d messages of the request were sent; the others were not sent"):format(self.sent_count));
		end
		has_begun = true;
		local outcome = delivery.send(self.sender, stanza, self);
		if not outcome.problem or not outcome.problem.unsent then self.sent_count = self.sent_count + 1; end
		if (outcome.status or outcome.problem) and not (self.outcomes and self.outcomes[1]) then
			self:record(outcome);
		else
			self:awaited():add(outcome);
		end
	end
	return true;
end

-- The answer that the program expects, if the template has one.
local function expected_answer(batch) --> answer or nil
	local status, media_type, body = batch:answer();
	if not status then return nil; end
	return { status_code = status; headers = { content_type = media_type }; body = body };
end

-- The status, media type and body of the answer of all outcomes.
function sending:report_outcomes() --> status, media type, body
	local status, media_type, body = self.report:finish(self.is_many);
	if self.problem and status >= 400 then
		local expected_status, expected_type, expected_body = self.exchange.native:program_refusal(self.problem);
		if expected_status then return status, expected_type, expected_body; end
	end
	return status, media_type, body;
end

function sending:answer() --> answer
	local exchange = self.exchange;
	if self.failed_count > 0 and self.reported_count > 1 then
		exchange.failure = ("%d of %d messages failed, the first: %s"):format(self.failed_count, self.reported_count, exchange.failure);
	end
	if self.total == 0 then return self.expected or 200; end -- a template that prints nothing
	if not self.report then return 201; end
	local status, media_type, body = self:report_outcomes();
	if exchange.format and (status == 200 or status == 201) then
		if self.expected then return self.expected; end
		status = 200; -- programs know no other success
	end
	return {
		status_code = status; body = body;
		headers = { content_type = media_type; preference_applied = self.wait and ("wait=%d"):format(self.wait) or nil };
	};
end

-- Waits for all outcomes, and makes the answer.
function sending:finish() --> answer; or nil, problem
	local exchange = self.exchange;
	local ok, problem = self:await();
	exchange.has_sent = self.reported_count > self.unreached_count;
	exchange.kept_answer = self:answer();
	if self.outcomes then self.outcomes:release(); end
	if not ok then return nil, problem; end
	return exchange.kept_answer;
end

-- Requests with a key that go on waiting although their clients have disconnected: such a client may repeat its request.
local max_abandoned = 100; -- of an account
local abandoned_exchanges = setmetatable({}, { __mode = "k" }); -- exchange → account

-- The client of a request has disconnected: ends the wait for receipts, unless the client may repeat the request.
local function abandon(exchange)
	exchange.is_abandoned = true;
	if not exchange.give_up then return; end
	local account, count = exchange.sender.account, 0;
	for _, other in pairs(abandoned_exchanges) do
		if other == account then count = count + 1; end
	end
	if exchange.headers.idempotency_key and count < max_abandoned then
		abandoned_exchanges[exchange] = account;
	else
		exchange.give_up();
	end
end

-- Waits for the outcomes that are not known yet, and records them.
function sending:await() --> true; or nil, problem
	local exchange, outcomes = self.exchange, self.outcomes;
	if not outcomes then return true; end
	if self.wait then
		exchange.give_up = function () outcomes:give_up(); end;
		if exchange.is_abandoned then abandon(exchange); end
	end
	local ok, problem = outcomes:wait(self.wait);
	abandoned_exchanges[exchange] = nil;
	for _, outcome in ipairs(outcomes) do
		self:record(outcome);
		scheduler.breathe(self.sender.account);
	end
	return ok, problem;
end

-- Sends all messages, and releases the batch, because it is as large as the body.
function sending:run() --> true; or nil, problem
	local batch = self.batch;
	local ok, problem = self:prepare();
	if ok then
		if not self:is_plain() then self.report = self.exchange.native:report(); end
		ok, problem = self:send_all();
	end
	if ok and self.report then
		self.is_many, self.expected = batch:is_many(), self.exchange.format and expected_answer(batch);
		self.report:keep(batch);
	end
	batch:release();
	self.batch = nil;
	if self.take_back and self.sent_count < self.total then self.take_back(self.total - self.sent_count); end
	return ok, problem;
end

-- Sends the only message of a request to whose success the answer is known: most requests. They need no table of their work, unless the
-- message fails or its outcome is not known yet.
local function send_single(exchange, batch, expected) --> answer, or nil; or nil, problem
	local sender, take_back = exchange.sender, nil;
	if sender.admit then
		local problem;
		take_back, problem = sender.admit(1);
		if not take_back then return nil, problem; end
	end
	local stanza = batch:next();
	batch:release();
	local outcome = delivery.send(sender, stanza, exchange.format and unattended or no_options);
	exchange.body = nil; -- frees it: it may be large, and the request may wait long
	if outcome.status == 201 then
		local answer = expected or 201;
		exchange.has_sent, exchange.kept_answer = true, answer;
		count_message(1, "sent", outcome.kind);
		log.log_message(exchange, outcome, "sent");
		return answer;
	end
	if take_back and outcome.problem and outcome.problem.unsent then take_back(1); end
	local work = new(exchange, batch);
	work.total, work.expected = 1, expected;
	work:awaited():add(outcome);
	return work:finish();
end

-- Sends the messages of a request. If the module is unloaded while the request waits for outcomes, it returns a problem, and
-- `exchange.kept_answer` is the answer for a repeated request.
local function send(exchange) --> answer; or nil, problem
	local headers = exchange.headers;
	local wait = headers.prefer and seconds_to_wait(exchange);
	exchange.wants_receipt = wait and true or nil;
	local batch, problem = compose.read(exchange);
	if not batch then return nil, problem; end
	local total, detail = compose.resolve(exchange, batch);
	if not total then return nil, detail; end
	local expected = exchange.format and expected_answer(batch);
	if detail and not wait and (expected or not (exchange.format or headers.accept)) then
		return send_single(exchange, batch, expected);
	end
	local work = new(exchange, batch, wait);
	work.total = total;
	local ok;
	ok, problem = work:run();
	exchange.has_sent = work.sent_count > 0;
	if ok then return work:finish(); end
	if work.outcomes then work.outcomes:release(); end
	return nil, problem;
end

return { abandon = abandon; send = send };
