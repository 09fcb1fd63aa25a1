-- A script for wrk: posts requests, and prints the result as one line of JSON.
--   -- HOST TYPE BODY_FILE USER PASSWORD [FIRST [KEY]]
-- %d in USER or PASSWORD is a number that grows with each request, from FIRST on. If USER is empty, PASSWORD is a token, or the path of
-- a file with one token on each line; each request uses the next line, from line FIRST on. KEY is the beginning of the
-- Idempotency-Key; the number follows.

local bit = require "bit";

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

local function base64(data)
	return (data:gsub("..?.?", function (bytes)
		local a, b, c = bytes:byte(1, 3);
		local bits = bit.bor(bit.lshift(a, 16), bit.lshift(b or 0, 8), c or 0);
		local result = "";
		for shift = 18, 0, -6 do
			local digit = bit.band(bit.rshift(bits, shift), 63) + 1;
			result = result..alphabet:sub(digit, digit);
		end
		return result:sub(1, #bytes + 1)..("="):rep(3 - #bytes);
	end));
end

local credentials, tokens, key, number;

local function authorize()
	if tokens then
		wrk.headers["Authorization"] = "Bearer "..tokens[number % #tokens + 1];
	else
		wrk.headers["Authorization"] = "Basic "..base64((credentials:gsub("%%d", number)));
	end
	if key then wrk.headers["Idempotency-Key"] = key..number; end
	number = number + 1;
end

function init(args)
	local file = assert(io.open(args[3], "rb"));
	wrk.method, wrk.body = "POST", file:read("*a");
	file:close();
	wrk.headers["Host"], wrk.headers["Content-Type"] = args[1], args[2];
	credentials, number = args[4]..":"..args[5], tonumber(args[6]) or 0;
	if args[4] == "" then
		tokens = { args[5] };
		if args[5]:find("^/") then
			tokens = {};
			for line in io.lines(args[5]) do tokens[#tokens + 1] = line; end
		end
	end
	key = args[7] ~= "" and args[7] or nil;
	authorize();
	if key or credentials:find("%%d") or tokens and tokens[2] then
		request = function ()
			authorize();
			return wrk.format();
		end
	end
end

function done(summary, latency)
	io.write(("{\"requests\": %d, \"seconds\": %f, \"refused\": %d, \"lost\": %d, \"p50\": %f, \"p99\": %f}\n"):format(
		summary.requests, summary.duration / 1e6, summary.errors.status,
		summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
		latency:percentile(50) / 1e3, latency:percentile(99) / 1e3));
end
