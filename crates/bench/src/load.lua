-- Replays raw requests for wrk from a file of records: six digits of length, a
-- newline, that many bytes. "cycle" keeps all in memory and repeats them;
-- "once" reads each from the file, sends it a single time, and stops at the
-- end. Prints one line of JSON for the harness.

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanos; } instant;
int clock_gettime(int clock, instant *now);
]]

local function now()
   local t = ffi.new("instant")
   ffi.C.clock_gettime(1, t)
   return tonumber(t.seconds) + tonumber(t.nanos) / 1e9
end

-- Globals, so that the harness' side (`done`) can read them from the thread.
sent, began, finished = 0, 0, 0

local file, all
local asked = false
local harmless = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

local function record()
   local length = file:read(7)
   return length and file:read(tonumber(length))
end

function init(args)
   file = assert(io.open(args[1], "rb"))
   file:setvbuf("full", 1048576)
   if args[2] == "cycle" then
      all = {}
      for bytes in record do all[#all + 1] = bytes end
   end
end

function request()
   -- wrk calls this once at its start to count pipelined requests, and sends nothing.
   if not asked then
      asked = true
      return harmless
   end
   if sent == 0 then began = now() end
   local bytes
   if all then
      bytes = all[sent % #all + 1]
   else
      bytes = record()
   end
   if not bytes then
      if finished == 0 then finished = now() end
      wrk.thread:stop()
      return harmless
   end
   sent = sent + 1
   return bytes
end

local the_thread

function setup(thread)
   the_thread = thread
end

function done(summary, latency)
   local seconds = summary.duration / 1e6
   local stopped = the_thread:get("finished")
   if stopped > 0 then seconds = stopped - the_thread:get("began") end
   local e = summary.errors
   print(string.format(
      'RESULT {"answered":%d,"sent":%d,"seconds":%.6f,"exhausted":%s,"rejected":%d,"failed":%d,"p50_us":%d,"p99_us":%d}',
      summary.requests, the_thread:get("sent"), seconds, tostring(stopped > 0), e.status,
      e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
