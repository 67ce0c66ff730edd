"""The OpenEnv door as a process: its official checker and client, an MCP client, and clients that misbehave."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bench.processes import Service, free_address
from env_server.environments.charging import Charging, ChargingConfig
from tests.support.noughts import outcome
from tests.support.tools import OPENENV, needs

needs_peer = needs("OpenEnv")
ROUNDS, PRICE = 3, 0.25
FAIR = [0.5] * 8


@contextmanager
def door(*flags, policy="fixed_price"):
    """A charging game whose clients are station_0, a service being all others; yields the process and HOST:PORT."""
    address = free_address()
    prices = ["--parameter", f"price={PRICE}"] if policy == "fixed_price" else []
    with Service("agent_services", ["--policy", f"scripted:{policy}", *prices]) as minds:
        words = ["--openenv", address, "--gateway-config", json.dumps({"episode_rounds": ROUNDS})]
        with Service("env_server", [*words, "--gateway-seats", f"*={minds.address}", *flags]) as server:
            yield server, address


@pytest.fixture(scope="module")
def address():
    with door("--max-sessions", "3") as (server, where):
        yield where
        assert server.process.poll() is None


def ask(socket, message):
    socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return json.loads(socket.recv(timeout=60), parse_constant=pytest.fail)


def call(address, path, body=None, headers=()):
    """Status, headers and parsed body of a request."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{address}{path}", data, {"content-type": "application/json", **dict(headers)}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read() or b"null")


def own_game(seed):
    """The same game in this process, everybody's actions given: rewards and flows of station_0."""
    game = Charging(ChargingConfig(episode_rounds=ROUNDS), 1)
    step = game.reset(seed, np.zeros(1, np.uint32))
    prices = [np.full((1, 8), price, np.float32) for price in (0.5, PRICE, PRICE, PRICE)]
    for _ in range(ROUNDS):
        seen = step.observations[0]["own_charging_flow"][0].tolist()
        step = game.step([{"": price} for price in prices])
        yield seen, float(step.rewards[0, 0])


def until(what, seconds=60.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@needs_peer
def test_the_official_checker_finds_nothing_wrong(address):
    done = subprocess.run(
        [OPENENV / "openenv", "validate", "--url", f"http://{address}"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["passed"] and report["mode"] == "simulation"
    assert report["summary"]["passed_count"] == report["summary"]["total_count"] == 6
    assert report["standard_profile"] == "openenv-http/1.x"


CLIENT = """
import json, sys
from openenv import GenericEnvClient
told = []
with GenericEnvClient(base_url=sys.argv[1]).sync() as env:
    result = env.reset(seed=7, episode_id="first")
    while not result.done:
        seen = result.observation["observation"]["own_charging_flow"]
        result = env.step({"action": [0.5] * 8})
        told.append((seen, result.reward))
    told.append((result.observation["truncated"], env.state()))
    try:
        env.step({"action": [0.5] * 8})
    except RuntimeError as error:
        told.append(str(error))
    env.reset()
    told.append(env.state()["step_count"])
print(json.dumps(told))
"""


@needs_peer
def test_the_official_client_plays_the_game_that_others_play(address):
    done = subprocess.run(
        [OPENENV / "python", "-c", CLIENT, f"http://{address}"], capture_output=True, text=True, check=True
    )
    *played, ending, after, again = json.loads(done.stdout)
    assert played == [[pytest.approx(seen), pytest.approx(reward)] for seen, reward in own_game(7)]
    assert ending == [True, {"episode_id": "first", "step_count": ROUNDS}]
    assert "expected a reset" in after and "EXECUTION_ERROR" in after
    assert again == 0


MCP_CLIENT = """
import asyncio, json, sys
from fastmcp import Client
from fastmcp.exceptions import ToolError

async def main():
    async with Client(sys.argv[1]) as client:
        told = [tool.name for tool in await client.list_tools()]
        await client.call_tool("new_episode", {"seed": 7})
        for _ in range(3):
            told.append((await client.call_tool("act", {"action": [0.5] * 8})).structured_content["reward"])
        try:
            await client.call_tool("act", {"action": [0.5] * 7})
        except ToolError as error:
            told.append(str(error))
    return told

print(json.dumps(asyncio.run(main())))
"""


@needs_peer
def test_an_mcp_client_plays_it_too(address):
    done = subprocess.run(
        [OPENENV / "python", "-c", MCP_CLIENT, f"http://{address}/mcp"], capture_output=True, text=True, check=True
    )
    first, second, *rewards, refusal = json.loads(done.stdout)
    assert (first, second) == ("new_episode", "act")
    assert rewards == pytest.approx([reward for _, reward in own_game(7)])
    assert "expected a reset" in refusal


def test_plain_requests_have_a_game_each(address):
    assert call(address, "/health")[2] == {"status": "healthy"}
    assert call(address, "/state")[2] == {"episode_id": None, "step_count": 0}
    assert "station_0" in call(address, "/metadata")[2]["description"]
    action = call(address, "/schema")[2]["action"]["properties"]["action"]
    assert (action["minItems"], action["items"]["maximum"]) == (8, 1.0)
    status, _, told = call(address, "/reset", {"seed": 7})
    (seen, reward), *_ = own_game(7)
    assert (status, told["done"]) == (200, False)
    assert told["observation"]["observation"]["own_charging_flow"] == pytest.approx(seen)
    assert call(address, "/step", {"action": {"action": FAIR}, "seed": 7})[2]["reward"] == pytest.approx(reward)
    assert call(address, "/reset", b"")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/step", {"action": {"action": [2.0] * 8}}, "action"),
        ("/step", {"action": {"actoin": FAIR}}, "action.action"),
        ("/step", b'{"action": {"action": [NaN, 0, 0, 0, 0, 0, 0, 0]}}', "action"),
        ("/reset", {"seed": -1}, "seed"),
        ("/reset", {"seed": 2**63}, "seed"),
        ("/reset", b"{", None),
    ],
)
def test_a_wrong_request_is_told_where(address, path, body, field):
    status, _, told = call(address, path, body)
    assert status == 422 and told["code"] == "VALIDATION_ERROR"
    assert field is None or told["detail"][0]["field"] == field
    assert {"expected", "got"} < told["detail"][0].keys()


def test_pages_from_elsewhere_and_endless_bodies_are_turned_away(address):
    assert call(address, "/health", headers=[("origin", "http://localhost:3000")])[0] == 200
    for origin in ("http://evil.example", "null", "http://[", "http://127.0.0.1.evil.example"):
        with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{address}/ws", origin=origin):
            pass
    status, *_ = call(address, "/mcp", b" " * (64 * 1024 * 1024 + 1))
    assert status == 413


STEP = {"type": "step", "data": {"action": FAIR}}


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("{", "INVALID_JSON", "JSON"),
        ('{"type": "reset", "data": {"seed": NaN}}', "INVALID_JSON", "NaN"),
        ("[" * 100_000, "INVALID_JSON", "deeply"),
        (b"\xff\xfe\x00", "INVALID_JSON", "JSON"),
        ("9" * 5000, "INVALID_JSON", "JSON"),
        ([], "VALIDATION_ERROR", "message"),
        ({"data": {}}, "VALIDATION_ERROR", "type: expected a value, got nothing"),
        ({"type": "dance"}, "UNKNOWN_TYPE", "dance"),
        ({"type": "reset", "data": {"seed": "7"}}, "VALIDATION_ERROR", "seed: expected a valid integer, got '7'"),
        ({"type": "reset", "data": {"episode_id": "x" * 256}}, "VALIDATION_ERROR", "episode_id"),
        (STEP, "EXECUTION_ERROR", "expected a reset, got a step before it"),
        ({"type": "step", "data": {"action": FAIR, "x": 1}}, "VALIDATION_ERROR", "x: expected no such member, got 1"),
    ],
)
def test_a_wrong_message_is_told_and_the_talk_goes_on(address, message, code, words):
    with connect(f"ws://{address}/ws") as socket:
        told = ask(socket, message)
        assert told["type"] == "error" and told["data"]["code"] == code
        assert words in told["data"]["message"]
        assert ask(socket, {"type": "reset"})["type"] == "observation"


def test_a_wrong_action_leaves_the_episode_as_it_was(address):
    with connect(f"ws://{address}/ws") as socket:
        ask(socket, {"type": "reset", "data": {"seed": 7}})
        told = ask(socket, {"type": "step", "data": {"action": FAIR[1:]}})
        fault = {"field": "action", "expected": "numbers of shape [8]", "got": f"{FAIR[1:]} of shape [7]"}
        assert told["data"]["errors"] == [fault]
        rewards = [ask(socket, STEP)["data"]["reward"] for _ in range(ROUNDS)]
    assert rewards == pytest.approx([reward for _, reward in own_game(7)])


def test_a_game_of_turns_tells_what_is_legal():
    game = ["--gateway-environment", "pettingzoo:pettingzoo.classic.tictactoe_v3", "--gateway-config", "{}"]
    with door(*game, policy="random") as (_, where), connect(f"ws://{where}/ws") as socket:
        told = ask(socket, {"type": "reset"})["data"]
        for mine in range(5):
            if told["done"]:
                break
            board = np.array(told["observation"]["observation"]["observation"]).reshape(9, 2)
            free = np.flatnonzero(board.sum(axis=1) == 0).tolist()
            assert told["observation"]["legal_actions"] == free and len(free) == 9 - 2 * mine
            told = ask(socket, {"type": "step", "data": {"action": free[0]}})["data"]
        board = np.array(told["observation"]["observation"]["observation"])
        assert told["done"] and told["reward"] == outcome(board)


def test_json_rpc_mistakes_have_the_standards_codes(address):
    def rpc(body, **headers):
        return call(address, "/mcp", body, headers.items())[2]["error"]["code"]

    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    assert rpc(b"{") == -32700
    assert rpc({}) == -32600
    assert rpc(asked | {"method": "dance"}) == -32601
    assert rpc(asked | {"params": {"name": "dance"}}) == -32602
    assert rpc(asked | {"params": {"name": "act", "session_id": "nobody's"}}) == -32602
    assert call(address, "/mcp", asked, [("mcp-session-id", "nobody's")])[0] == 404
    with connect(f"ws://{address}/mcp") as socket:
        assert ask(socket, "{")["error"]["code"] == -32700
        assert ask(socket, asked | {"method": "tools/list"})["result"]["tools"][1]["name"] == "act"


def test_a_session_of_openenvs_own_mcp_methods(address):
    def rpc(method, **params):
        return call(address, "/mcp", {"jsonrpc": "2.0", "id": "a", "method": method, "params": params})[2]

    session = rpc("openenv/session/create")["result"]["session_id"]
    rpc("tools/call", session_id=session, name="new_episode", arguments={"seed": 7})
    told = rpc("tools/call", session_id=session, name="act", arguments={"action": FAIR})
    assert told["result"]["structuredContent"]["reward"] == pytest.approx(next(own_game(7))[1])
    assert rpc("openenv/session/close", session_id=session)["result"]["closed"] is True
    assert "error" in rpc("openenv/session/close", session_id=session)


def free_seats(address, count):
    """Whether ``count`` clients may sit down at once."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(f"ws://{address}/ws")) for _ in range(count)]
        return all(ask(socket, {"type": "state"})["type"] == "state" for socket in sockets)


def test_a_full_server_says_so_and_whoever_leaves_makes_room(address):
    until(lambda: free_seats(address, 3))
    with connect(f"ws://{address}/ws") as first, connect(f"ws://{address}/ws") as second:
        with connect(f"ws://{address}/ws") as third:
            assert {ask(s, {"type": "state"})["type"] for s in (first, second, third)} == {"state"}
            with connect(f"ws://{address}/ws") as fourth:
                told = ask(fourth, {"type": "reset"})["data"]
                with pytest.raises(ConnectionClosed):
                    fourth.recv(timeout=60)
            assert told["code"] == "CAPACITY_REACHED"
            assert (told["active_sessions"], told["max_sessions"]) == (3, 3)
            status, _, said = call(address, "/reset", {})
            assert (status, said["code"], said["active_sessions"]) == (503, "CAPACITY_REACHED", 3)
            third.send(json.dumps({"type": "close"}))
            with pytest.raises(ConnectionClosed):
                third.recv(timeout=60)
        until(lambda: call(address, "/reset", {})[0] == 200)


SITS = """
import sys, time
from websockets.sync.client import connect
with connect(sys.argv[1]) as socket:
    socket.send('{"type": "reset"}')
    print(len(socket.recv()), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("end", "idle_seconds"), [(signal.SIGKILL, "300"), (signal.SIGSTOP, "1")])
def test_the_game_of_a_client_that_died_or_froze_is_freed(end, idle_seconds):
    with (
        door("--max-sessions", "1", "--gateway-idle-seconds", idle_seconds) as (_, where),
        subprocess.Popen([sys.executable, "-c", SITS, f"ws://{where}/ws"], stdout=subprocess.PIPE) as sitting,
    ):
        assert sitting.stdout.readline()
        sitting.send_signal(end)
        until(lambda: call(where, "/state")[0] == 200)
        sitting.kill()


def test_who_is_silent_for_too_long_loses_its_game():
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    with door("--max-sessions", "1", "--gateway-idle-seconds", "0.5") as (_, where):
        status, headers, told = call(where, "/mcp", hello)
        assert status == 200 and told["result"]["protocolVersion"] == "2025-06-18"
        until(lambda: call(where, "/state")[0] == 200)
        assert call(where, "/mcp", listing, [("mcp-session-id", headers["mcp-session-id"])])[0] == 404
        with connect(f"ws://{where}/ws") as socket, pytest.raises(ConnectionClosed) as closed:
            assert ask(socket, {"type": "reset"})["type"] == "observation"
            socket.recv(timeout=60)
        assert closed.value.rcvd.code == 1001


def test_a_service_that_dies_costs_one_answer_and_no_episode():
    fixed = ["--policy", "scripted:fixed_price", "--parameter", f"price={PRICE}"]
    where, config = free_address(), json.dumps({"episode_rounds": ROUNDS})
    minds = Service("agent_services", fixed).start()
    words = ["--openenv", where, "--gateway-config", config, "--gateway-seats", f"*={minds.address}"]
    with Service("env_server", words), connect(f"ws://{where}/ws") as socket:
        ask(socket, {"type": "reset", "data": {"seed": 7}})
        rewards = [ask(socket, STEP)["data"]["reward"]]
        minds.kill()
        told = ask(socket, STEP)["data"]
        assert told["code"] == "EXECUTION_ERROR" and minds.address in told["message"]
        with Service("agent_services", fixed, minds.address):
            rewards += [ask(socket, STEP)["data"]["reward"] for _ in range(ROUNDS - 1)]
            assert ask(socket, {"type": "state"})["data"]["step_count"] == ROUNDS
    assert rewards == pytest.approx([reward for _, reward in own_game(7)])


def test_told_to_stop_it_closes_its_talks():
    with door() as (server, where), connect(f"ws://{where}/ws") as socket:
        ask(socket, {"type": "reset"})
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)
        assert server.process.wait(20) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--openenv", "nowhere"], "openenv: expected HOST:PORT, got 'nowhere'"),
        (["--openenv", "0.0.0.0:0"], "openenv: expected a loopback address"),
        (["--openenv", "127.0.0.1:0", "--gateway-agent", "station_9"], "station_9"),
        (["--openenv", "127.0.0.1:0"], "station_1"),
    ],
)
def test_wrong_flags_end_it_with_2(flags, words, tmp_path):
    with pytest.raises(RuntimeError, match="exit code 2"):
        Service("env_server", flags, log=tmp_path / "log").start()
    assert words in (tmp_path / "log").read_text()
