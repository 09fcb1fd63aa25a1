-- Faults, and what was expected and seen of each: the rows of a table that `make soak` puts into docs/faults.md.

-- In the files of specs only, these are global.
local assert = require "luassert";
local busted = require "busted";

local faults = {};

-- A test of one fault. `try` says what it saw, in a few words, when all that it asserts holds.
function faults.show(fault, expected, try)
	busted.it(fault, function ()
		local seen = try();
		assert.is_string(seen);
		local path = os.getenv("FAULTS_TABLE"); -- the file that rows are added to
		if path then
			local rows = assert(io.open(path, "a"));
			assert(rows:write(("| %s | %s | %s |\n"):format(fault, expected, seen)));
			assert(rows:close());
		end
	end);
end

return faults;
