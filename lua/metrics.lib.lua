-- The metrics, as mod_http_openmetrics shows them: prosody_mod_post_msg__NAME. Each is declared here and nowhere else;
-- the table in docs/monitoring.md shows the same. No label holds an address, or what a client chooses.

local unpack = table.unpack or unpack; -- COMPAT Lua 5.1

-- `values` are those of each label, where they are known: what was never counted is shown as 0 then, and not missing.
local declared = {
	{
		type = "counter"; name = "requests"; labels = { "status" }; says = "HTTP requests answered, by status";
		values = { {
			200, 201, 202, 204, 207, 400, 401, 403, 404, 405, 409, 410, 411, 413, 415, 422, 429, 500, 502, 503, 504;
		} };
	};
	{
		type = "histogram"; name = "answer"; unit = "seconds"; buckets = { 0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60 };
		says = "time from a request that was read whole to its answer";
	};
	{
		type = "counter"; name = "messages"; labels = { "outcome", "recipient" };
		values = { { "sent", "delivered", "unconfirmed", "failed" }, { "account", "room", "service", "remote" } };
		says = "messages, by outcome and kind of recipient";
	};
	{
		type = "counter"; name = "credentials"; labels = { "result" };
		values = { { "accepted", "missing", "wrong", "forbidden", "throttled", "ambiguous", "unavailable" } };
		says = "credentials of requests, by result";
	};
	{ type = "gauge"; name = "derivations_waiting"; says = "passwords that are derived, or wait for it" };
	{
		type = "histogram"; name = "derivation"; unit = "seconds"; buckets = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2 };
		says = "time to derive a password, with the wait for it";
	};
	{ type = "gauge"; name = "requests_waiting"; says = "requests that wait: for a room, a receipt, a password, or their turn" };
	{ type = "gauge"; name = "rooms_joined"; says = "rooms that senders are in through this module" };
	{ type = "gauge"; name = "tokens"; says = "sending tokens" };
	{ type = "gauge"; name = "keys"; says = "idempotency keys that are kept, nearly" };
	{
		type = "counter"; name = "files"; labels = { "result" }; values = { { "uploaded", "refused", "failed" } };
		says = "files to be uploaded, by result";
	};
	{
		type = "counter"; name = "templates"; labels = { "template", "result" };
		says = "renderings of templates, by template and result (rendered, failed)";
	};
};

local families, values = {}, {};
for _, metric in ipairs(declared) do
	families[metric.name] = module:metric(metric.type, metric.name, metric.unit or "", metric.says, metric.labels or {},
		metric.buckets and { buckets = metric.buckets } or nil);
	values[metric.name] = metric.values;
end

-- A function that counts something, by the labels of the metric.
local function counter(name) --> function (count, label or two)
	local family = families[name];
	local known = {}; -- one label → the metric; of two, the first → the second → the metric
	local function add(count, first, ...)
		local by_last, last = known, first;
		if ... then
			by_last, last = known[first], ...;
			if not by_last then
				by_last = {};
				known[first] = by_last;
			end
		end
		local metric = by_last[last];
		if not metric then
			metric = family:with_labels(tostring(first), ...);
			by_last[last] = metric;
		end
		metric:add(count);
	end
	local first, second = unpack(values[name] or {});
	for _, value in ipairs(first or {}) do
		if not second then add(0, value); end
		for _, other in ipairs(second or {}) do add(0, value, other); end
	end
	return add;
end

local function histogram(name) --> function (seconds)
	local metric = families[name]:with_labels();
	return function (seconds) metric:sample(seconds); end
end

local function gauge(name) --> function (value)
	local metric = families[name]:with_labels();
	return function (value) metric:set(value); end
end

-- Gauges have their values when they are collected: `read` has a function for each. `before` is called then too.
local function show(read, before)
	local shown = {};
	for name, value_of in pairs(read) do shown[gauge(name)] = value_of; end
	module:hook_global("stats-update", function ()
		before();
		for set, value_of in pairs(shown) do set(value_of()); end
	end);
	return function () --: shows nothing more
		for set in pairs(shown) do set(0); end
	end
end

return { declared = declared; counter = counter; histogram = histogram; show = show };
