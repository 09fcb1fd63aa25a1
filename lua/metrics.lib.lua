-- The metrics, as mod_http_openmetrics shows them: prosody_mod_post_msg__NAME. Each is declared here and nowhere else; the table in
-- docs/monitoring.md has the same metrics. No label contains an address, or any other text from a client.

local unpack = table.unpack or unpack; -- COMPAT Lua 5.1

-- `values`: the values of each label, if they are known. A metric with such values is shown from the start, as 0.
local declarations = {
	{
		type = "counter"; name = "requests"; labels = { "status" }; help = "HTTP requests answered, by status";
		values = { {
			200, 201, 202, 204, 207, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 500, 501, 502, 503, 504;
		} };
	};
	{
		type = "histogram"; name = "answer"; unit = "seconds"; buckets = { 0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60 };
		help = "time from the end of a request to its answer";
	};
	{
		type = "counter"; name = "messages"; labels = { "outcome", "recipient" };
		values = { { "sent", "delivered", "unconfirmed", "failed" }, { "account", "room", "service", "remote" } };
		help = "messages, by outcome and kind of recipient";
	};
	{
		type = "counter"; name = "credentials"; labels = { "result" };
		values = { { "accepted", "missing", "wrong", "forbidden", "throttled", "ambiguous", "unavailable" } };
		help = "credentials of requests, by result";
	};
	{ type = "gauge"; name = "derivations_waiting"; help = "passwords that are being derived, or wait for a thread" };
	{
		type = "histogram"; name = "derivation"; unit = "seconds"; buckets = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2 };
		help = "time to derive a password, including the wait for a thread";
	};
	{ type = "gauge"; name = "requests_waiting"; help = "requests that wait: for a room, a receipt, a password, or their turn" };
	{ type = "gauge"; name = "rooms_joined"; help = "rooms in which this module has joined a sender" };
	{ type = "gauge"; name = "tokens"; help = "sending tokens" };
	{ type = "gauge"; name = "keys"; help = "idempotency keys that are stored, approximately" };
	{
		type = "counter"; name = "files"; labels = { "result" }; values = { { "uploaded", "refused", "failed" } };
		help = "files of requests, by result of the upload";
	};
	{
		type = "counter"; name = "templates"; labels = { "template", "result" };
		help = "renderings of templates, by template and result (rendered, failed)";
	};
};

local families, values = {}, {};
for _, metric in ipairs(declarations) do
	families[metric.name] = module:metric(metric.type, metric.name, metric.unit or "", metric.help, metric.labels or {},
		metric.buckets and { buckets = metric.buckets } or nil);
	values[metric.name] = metric.values;
end

-- > function (count, label), or function (count, label, label), by the labels of the metric
local function counter(name)
	local family = families[name];
	local metrics_by_label = {}; -- first label → second label, or "" → metric with these labels
	local function metric_of(first, second)
		metrics_by_label[first] = metrics_by_label[first] or {};
		local metric = metrics_by_label[first][second or ""];
		if not metric then
			metric = second and family:with_labels(tostring(first), second) or family:with_labels(tostring(first));
			metrics_by_label[first][second or ""] = metric;
		end
		return metric;
	end
	local function add(count, first, second)
		metric_of(first, second):add(count);
	end
	local firsts, seconds = unpack(values[name] or {});
	for _, first in ipairs(firsts or {}) do
		if not seconds then add(0, first); end
		for _, second in ipairs(seconds or {}) do add(0, first, second); end
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

-- Sets gauges each time Prosody collects metrics. `read`: the name of a gauge → function that returns its value. `before` is called first.
local function show(read, before) --> function that sets all gauges to 0
	local setters = {};
	for name, value_of in pairs(read) do setters[gauge(name)] = value_of; end
	module:hook_global("stats-update", function ()
		before();
		for set, value_of in pairs(setters) do set(value_of()); end
	end);
	return function ()
		for set in pairs(setters) do set(0); end
	end
end

return { declarations = declarations; counter = counter; histogram = histogram; show = show };
