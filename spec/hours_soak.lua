-- All kinds of requests at half of capacity for SOAK_SECONDS (3600), with reloads and an upgrade: spec/support/soak.py runs
-- it, and this file checks its results.

local faults = require "spec.support.faults";
local json = require "dkjson";

local here = debug.getinfo(1, "S").source:match("^@(.*)/") or ".";
local python = os.getenv("PYTHON") or "/usr/bin/python3";
local seconds = tonumber(os.getenv("SOAK_SECONDS") or 3600);
assert(seconds >= 180, "SOAK_SECONDS is 180 at least: memory is looked at in a part of the run");
local long_enough = 1800; -- seconds, for a slope of memory that is more than noise

-- The samples of a part of the run, from and to a share of it.
local function part(samples, from, to)
	local results = {};
	for _, sample in ipairs(samples) do
		if sample[1] >= from * seconds and sample[1] <= to * seconds then results[#results + 1] = sample; end
	end
	return results;
end

local function median(samples, column)
	local values = {};
	for index, sample in ipairs(samples) do values[index] = sample[column]; end
	table.sort(values);
	return values[math.ceil(#values / 2)];
end

-- By least squares.
local function slope(samples, column) --> of the column, an hour
	local x, y, xx, xy = 0, 0, 0, 0;
	for _, sample in ipairs(samples) do
		local hours, value = sample[1] / 3600, sample[column];
		x, y, xx, xy = x + hours, y + value, xx + hours * hours, xy + hours * value;
	end
	return (#samples * xy - x * y) / (#samples * xx - x * x);
end

local function sorted_words(counts)
	local words = {};
	for status, count in pairs(counts) do words[#words + 1] = ("%s: %d"):format(status, count); end
	table.sort(words);
	return table.concat(words, ", ");
end

describe("a long run", function ()
	local run;

	lazy_setup(function ()
		local pipe = assert(io.popen(("exec %s '%s/support/soak.py' %d"):format(python, here, seconds)));
		local output = pipe:read("*a");
		pipe:close();
		run = assert(json.decode(output), "soak.py has told nothing: " .. output);
		print(("%d requests of a second are the capacity; %s"):format(run.capacity, sorted_words(run.statuses)));
		print("resident kB, each ten seconds:");
		for _, sample in ipairs(run.samples) do io.write(("%d "):format(sample[2])); end
		print();
	end);

	faults.show(("%g minutes of all kinds of requests, half of capacity"):format(seconds / 60), "no unexplained status, no error", function ()
		assert.same({}, run.unexplained);
		assert.same({}, run.errors);
		local all = 0;
		for _, count in pairs(run.statuses) do all = all + count; end
		assert.is_true(all > 50 * seconds, "too few requests: " .. all);
		return ("%d requests, %d a second"):format(all, all / run.seconds);
	end);

	faults.show("a reload each minute, an upgrade in the middle", "503 at most, and a repeated request with a key is accepted", function ()
		assert.is_true(run.upgraded);
		assert.is_true(run.reloads >= math.max(math.floor(seconds / 60), 2) - 1);
		return ("%d reloads: %d × 503, of these %d repeated"):format(run.reloads, run.statuses["503"] or 0, run.repeated);
	end);

	faults.show("each message of that run, in the ledger of its recipient", "each accepted message arrived once, no other message arrived", function ()
		local ledger = run.ledger;
		assert.equal(0, ledger.lost);
		assert.equal(0, ledger.twice);
		assert.equal(0, ledger["refused but arrived"]);
		assert.equal(0, ledger.strange);
		assert.equal(run.cut > 0, ledger.unknown > 0);
		assert.is_true(ledger.answered > 50 * seconds);
		return ("%d, 0 lost, 0 twice; %d of a 503 without a key"):format(ledger.answered, ledger.unknown);
	end);

	faults.show("memory and file descriptors in its second half", "under 1 MB an hour; flat", function ()
		local half = part(run.samples, 0.5 + 30 / seconds, 1); -- memory of the upgrade is not growth
		local megabytes = slope(half, 2) / 1024;
		local first, last = median(part(run.samples, 0.25, 0.5), 3), median(part(run.samples, 0.75, 1), 3);
		assert.is_true(last <= first + 5, ("file descriptors: %d, and %d"):format(first, last));
		if seconds >= long_enough then
			assert.is_true(megabytes < 1, ("%.2f MB an hour"):format(megabytes));
		end
		return ("%+.2f MB an hour at %d MB%s; %d, then %d"):format(megabytes, median(half, 2) / 1024,
			seconds < long_enough and " (too short to judge)" or "", first, last);
	end);
end);
