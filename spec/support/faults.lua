-- Faults, with the expected and the observed result of each: rows of the table that `make soak` writes into docs/faults.md.

-- In the files of specs only, these are global.
local assert = require "luassert";
local busted = require "busted";

local faults = {};

-- A test of one fault. If all assertions of `try` hold, it returns the observed result in a few words.
function faults.show(fault, expected, try)
	busted.it(fault, function ()
		local record = try();
		assert.is_string(record);
		local path = os.getenv("FAULTS_TABLE"); -- the file to which rows are appended
		if path then
			local rows = assert(io.open(path, "a"));
			assert(rows:write(("| %s | %s | %s |\n"):format(fault, expected, record)));
			assert(rows:close());
		end
	end);
end

return faults;
