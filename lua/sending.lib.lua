-- Sends the messages of a request, and makes the answer of what became of them.

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

-- The sending of a request: { exchange, sender, batch, total, wait, unattended, outcomes, report, … }.
local sending = {};
sending.__index = sending;

-- The seconds for which a request wants to wait for receipts.
local function wait_of(exchange) --> number or nil
	local wait = exchange.headers.prefer and exchange.native:wait();
	wait = wait and math.min(wait, config.max_wait);
	return wait ~= 0 and wait or nil;
end

local function new(exchange, batch, wait) --> sending
	local sender, format = exchange.sender, exchange.format;
	return setmetatable({
		exchange = exchange; sender = sender; batch = batch; wait = wait;
		unattended = format ~= nil; -- a program that posts in a format of its own cannot correct what is refused
		is_json = exchange.headers.accept ~= nil and exchange.native:wants_json();
		outcomes = new_list(sender.account);
		reported = 0; failed = 0; unreached = 0; sent = 0;
	}, sending);
end

-- Does what has to succeed before the first message is sent.
function sending:prepare() --> true; or nil, problem
	local exchange, sender, batch = self.exchange, self.sender, self.batch;
	local ok, problem;
	self.total, problem = compose.resolve(exchange, batch);
	if not self.total then return nil, problem; end
	-- A single message needs no place: its request has a connection of its own.
	if batch:is_many() and (self.wait or batch:to_rooms()) then
		ok, problem = self.outcomes:reserve(self.total);
		if not ok then return nil, problem; end
	end
	if sender.admit then
		self.take_back, problem = sender.admit(self.total);
		if not self.take_back then return nil, problem; end
	end
	ok, problem = uploads.upload(sender, batch, exchange.body);
	exchange.body = nil; -- it may be large, and the wait for an outcome long
	return ok, problem;
end

-- Whether the answer to a request is a status without a body.
function sending:is_plain() --> boolean
	return self.total == 1 and not (self.is_json or self.wait or self.exchange.format);
end

-- Counts, logs and reports an outcome.
function sending:record(outcome)
	local exchange, result = self.exchange, outcome.problem or outcome.status or 202; -- an unknown outcome at unload counts as sent
	local word = outcome_words[result] or "failed";
	self.reported = self.reported + 1;
	if word == "failed" then
		self.failed = self.failed + 1;
		exchange.failure = exchange.failure or result.detail;
		if result.unreached then self.unreached = self.unreached + 1; end
		-- A program repeats its request after a 5xx, and not after a 4xx.
		if exchange.format and result.temporary and result.status < 500 then result.status = 503; end
	end
	count_message(1, word, outcome.kind);
	log.message(exchange, outcome, word);
	if result ~= 201 or not self:is_plain() then
		self.report = self.report or exchange.native:report();
		self.report:add(outcome.id, self.sender.address, outcome.to, result);
	end
end

-- Sends the messages in order. An outcome is recorded at once unless one before it is not known yet.
function sending:send_all() --> true; or nil, problem
	local outcomes, batch = self.outcomes, self.batch;
	for stanza in batch.next, batch do
		if self.begun and not scheduler.breathe(self.sender.account) then
			return nil, problems.new("unsent", ("the module was unloaded when %d messages of the request were sent, the rest was not"):format(self.sent));
		end
		self.begun = true;
		local outcome = delivery.send(self.sender, stanza, self);
		if not outcome.problem or not outcome.problem.unsent then self.sent = self.sent + 1; end
		if (outcome.status or outcome.problem) and not outcomes[1] then
			self:record(outcome);
		else
			outcomes:add(outcome);
		end
	end
	return true;
end

-- The answer that the program expects, if its template has one.
function sending:expected_answer() --> answer or nil
	local status, media_type, body = self.batch:answer();
	if not status then return nil; end
	return { status_code = status; headers = { content_type = media_type }; body = body };
end

function sending:answer() --> answer
	local exchange = self.exchange;
	if self.failed > 0 and self.reported > 1 then
		exchange.failure = ("%d of %d messages failed, the first: %s"):format(self.failed, self.reported, exchange.failure);
	end
	if self.total == 0 then return self.expected or 200; end -- a template that prints nothing
	if not self.report then return 201; end
	local status, media_type, body = self.report:finish(self.is_many);
	if exchange.format and (status == 200 or status == 201) then
		if self.expected then return self.expected; end
		status = 200; -- programs know no other success
	end
	return {
		status_code = status; body = body;
		headers = { content_type = media_type; preference_applied = self.wait and ("wait=%d"):format(self.wait) or nil };
	};
end

-- Requests with a key that wait after their clients have gone: such a client may ask again for the outcome.
local most_abandoned = 100; -- of an account
local abandoned = setmetatable({}, { __mode = "k" }); -- exchange → account

-- The client of a request has gone: ends the wait for receipts, unless the client may ask again.
local function abandon(exchange)
	exchange.is_abandoned = true;
	if not exchange.give_up then return; end
	local account, count = exchange.sender.account, 0;
	for _, other in pairs(abandoned) do
		if other == account then count = count + 1; end
	end
	if exchange.headers.idempotency_key and count < most_abandoned then
		abandoned[exchange] = account;
	else
		exchange.give_up();
	end
end

-- Waits for the outcomes that are not known yet, and records them.
function sending:await() --> true; or nil, problem
	local exchange, outcomes = self.exchange, self.outcomes;
	if self.wait then
		exchange.give_up = function () outcomes:give_up(); end;
		if exchange.is_abandoned then abandon(exchange); end
	end
	local ok, problem = outcomes:wait(self.wait);
	abandoned[exchange] = nil;
	for _, outcome in ipairs(outcomes) do
		self:record(outcome);
		scheduler.breathe(self.sender.account);
	end
	return ok, problem;
end

-- Sends all messages, and releases the batch, which is as large as the body.
function sending:run() --> true; or nil, problem
	local batch = self.batch;
	local ok, problem = self:prepare();
	if ok then
		if not self:is_plain() then self.report = self.exchange.native:report(); end
		ok, problem = self:send_all();
	end
	if ok then
		self.is_many, self.expected = batch:is_many(), self:expected_answer();
		if self.report then self.report:keep(batch); end
	end
	batch:release();
	self.batch = nil;
	if self.take_back and self.sent < self.total then self.take_back(self.total - self.sent); end
	return ok, problem;
end

-- Sends what a request says. If the module is unloaded while a request that was sent waits, the request has a problem now, and
-- `exchange.kept_answer` is for a client that asks again.
local function send(exchange) --> answer; or nil, problem
	local wait = wait_of(exchange);
	local batch, problem = compose.read(exchange, wait ~= nil);
	if not batch then return nil, problem; end
	local work = new(exchange, batch, wait);
	local ok;
	ok, problem = work:run();
	exchange.sent = work.sent > 0;
	if ok then
		ok, problem = work:await();
		exchange.sent = work.reported > work.unreached;
		exchange.kept_answer = work:answer();
	end
	work.outcomes:release();
	if not ok then return nil, problem; end
	return exchange.kept_answer;
end

return { abandon = abandon; send = send };
