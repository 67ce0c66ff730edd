"""Agents that dial in to an environment server: real processes over real sockets."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import grpc
import pytest

from agora.channels import connect_blocking
from agora.errors import Refused, explain, refusal_in
from agora.v1 import (
    agent_pb2,
    environment_pb2 as env_pb,
    lobby_pb2,
    lobby_pb2_grpc,
    policy_pb2,
    rollout_pb2 as pb,
    rollout_pb2_grpc,
    seat_pb2,
)
from bench.processes import ROOT, Service, free_address, wait_healthy
from env_server.lobby import read_tokens

AGENTS = [f"station_{i}" for i in range(4)]
TOKENS = {name: f"token of {name}" for name in ("station", "slow", "broken", "raw", "frozen", "late", "twice", "gone")}


class Joined:
    """An agent process that dials in; inside, it waits in the lobby."""

    def __init__(self, folder, server, agent, name=None, token=None, more=()):
        name = name or agent
        self.log = folder / f"{name}-{time.monotonic_ns()}.log"
        self._command = [sys.executable, "-m", "tests.support.authored", "--join", server, "--only", agent]
        self._command += ["--name", name, "--token", token or TOKENS[name], *more]

    def __enter__(self):
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(self._command, stdout=output, stderr=output, cwd=ROOT)
        self.wait_joined(1)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def count(self, words):
        return self.log.read_text().count(words)

    def joined(self):
        return self.count("joined the lobby")

    def wait_joined(self, times):
        self.wait_for("joined the lobby", times)

    def wait_for(self, words, times, seconds=60.0):
        until = time.monotonic() + seconds
        while self.count(words) < times:
            assert time.monotonic() < until and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    path = tmp_path_factory.mktemp("lobby") / "tokens.yaml"
    path.write_text("".join(f"{name}: {token}\n" for name, token in TOKENS.items()))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def server(tokens):
    with Service("env_server", ["--lobby-tokens", str(tokens)]) as service:
        yield service.address


def request(address, rounds=4, **changes):
    fields = {"seed": 5, "num_blocks": 2, "deadline_us": 60_000_000, **changes}
    game = env_pb.EnvironmentSpec(name="charging", config_json=f'{{"episode_rounds": {rounds}}}', num_envs=6)
    seats = [seat_pb2.Seat(agent=agent, addresses=[address]) for agent in AGENTS]
    return pb.CollectRequest(environment=game, seats=seats, **fields)


def collect(server, message):
    with connect_blocking(server) as channel:
        try:
            items = list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=110))
        except grpc.RpcError as error:
            raise explain(error, server) from error
    return [item.segment.SerializeToString(deterministic=True) for item in items[:-1]], items[-1].summary


class Background:
    """A collection in a thread of its own."""

    def __init__(self, server, message):
        self._thread = threading.Thread(target=self._run, args=(server, message))
        self._outcome = None
        self._thread.start()

    def _run(self, server, message):
        try:
            self._outcome = collect(server, message)
        except Exception as error:
            self._outcome = error

    def done(self):
        self._thread.join(110)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def test_who_dials_in_plays_as_who_is_dialled_to_the_last_bit(server, tmp_path):
    with Service("tests.support.authored", ["--only", "station"]) as dialled:
        expected, _ = collect(server, request(dialled.address))
    with Joined(tmp_path, server, "station"):
        segments, summary = collect(server, request("lobby:station"))
        again, _ = collect(server, request("lobby:station"))
    assert segments == expected == again
    assert summary.substituted_actions == summary.reconnects == 0


def test_one_process_may_listen_and_dial_in(server, tmp_path):
    address = free_address()
    with Joined(tmp_path, server, "station", more=["--listen", address]):
        wait_healthy(address)
        message = request("lobby:station")
        for seat in message.seats[:2]:
            seat.addresses[:] = [address]
        segments, _ = collect(server, message)
        assert segments == collect(server, request(address))[0]


def test_one_process_plays_two_collections_at_once(server, tmp_path):
    with Joined(tmp_path, server, "slow", "twice") as agent:
        alone, _ = collect(server, request("lobby:twice"))
        both = [Background(server, request("lobby:twice", run=run)) for run in ("a", "b")]
        agent.wait_joined(4)
        assert all(other.done()[1].substituted_actions == 0 for other in both)
        same, _ = collect(server, request("lobby:twice"))
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(60) == 0
    assert same == alone


def test_when_one_is_killed_the_next_that_waits_takes_its_place(server, tmp_path):
    message = request("lobby:slow", rounds=60, num_blocks=1)  # long enough to be in its midst when it is killed
    with Joined(tmp_path, server, "slow") as first:
        expected, _ = collect(server, message)
        first.wait_joined(2)
        with Joined(tmp_path, server, "slow"):
            playing = Background(server, message)
            first.wait_joined(3)
            first.wait_for("acts", first.count("acts") + 40)  # more than the decisions by which it is tried at first
            first.process.kill()
            segments, summary = playing.done()
    assert summary.reconnects >= 1
    assert summary.substituted_actions == 0
    assert segments == expected


def test_nobody_left_is_a_fallback_until_another_joins(server, tmp_path):
    message = request("lobby:late", rounds=200, num_blocks=1, deadline_us=150_000, fallback=pb.FALLBACK_REPEAT_LAST)
    with Joined(tmp_path, server, "slow", "late") as first:
        playing = Background(server, message)
        first.wait_joined(2)
        first.process.kill()
        with Joined(tmp_path, server, "station", "late") as second:
            _, summary = playing.done()
            second.wait_joined(2)
    assert 0 < summary.substituted_actions < 200 * len(AGENTS) * 6


def test_a_guest_stands_in_for_a_replica_that_is_down(server, tmp_path):
    message = request("lobby:station")
    with Joined(tmp_path, server, "station"):
        expected, _ = collect(server, message)
        for seat in message.seats:
            seat.addresses[:] = [free_address(), "lobby:station"]
        segments, summary = collect(server, message)
    assert segments == expected and summary.substituted_actions == 0


def test_a_frozen_agent_costs_a_deadline_and_is_left(server, tmp_path):
    message = request("lobby:frozen", deadline_us=2_000_000, fallback=pb.FALLBACK_REPEAT_LAST, retries=1)
    with Joined(tmp_path, server, "station", "frozen") as first:
        first.process.send_signal(signal.SIGSTOP)
        with Joined(tmp_path, server, "station", "frozen") as second:
            _, summary = collect(server, message)
            second.wait_joined(2)
        assert first.joined() == 1
    assert summary.substituted_actions == 0 and summary.duration_us >= message.deadline_us


def test_a_restarted_server_finds_its_agents_back(tokens, tmp_path):
    address = free_address()
    service = Service("env_server", ["--lobby-tokens", str(tokens)], address)
    with service, Joined(tmp_path, address, "station") as agent:
        expected, _ = collect(address, request("lobby:station"))
        service.kill()
        agent.wait_for("again in", 1)
        before = agent.joined()
        service.start()
        agent.wait_joined(before + 1)
        assert collect(address, request("lobby:station"))[0] == expected


def test_rubbish_from_the_lobby_is_refused_in_words(server, tmp_path):
    with Joined(tmp_path, server, "broken"):
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                collect(server, request("lobby:broken"))
            assert caught.value.reason == policy_pb2.REASON_MODEL
            assert caught.value.field.endswith("act") and "nan" in caught.value.got


def test_a_wrong_token_ends_the_process_with_words(server, tmp_path):
    agent = Joined(tmp_path, server, "station", token="guessed")
    with pytest.raises(AssertionError), agent:
        pass
    assert agent.process.wait() == 2
    assert "TOKEN: join: expected a name of this lobby and its token" in agent.log.read_text()
    assert "guessed" not in agent.log.read_text()


def join_raw(server, *requests):
    """The answers to what a hand-made client says, and how its call ended."""
    answers = []
    with connect_blocking(server) as channel:
        call = lobby_pb2_grpc.LobbyServiceStub(channel).Join(iter(requests), timeout=60)
        try:
            for answer in call:
                answers.append(answer)  # those before an error count
        except grpc.RpcError as error:
            return answers, error.code(), refusal_in(error)
    return answers, grpc.StatusCode.OK, None


def joining(name, token):
    return lobby_pb2.JoinRequest(join=lobby_pb2.JoinLobby(name=name, token=token))


def test_an_unknown_name_cannot_be_told_from_a_wrong_token(server):
    pairs = [("raw", "no"), ("raw", ""), ("nobody", ""), ("nobody", "no"), ("", ""), ("raw", TOKENS["slow"])]
    outcomes = {join_raw(server, joining(*pair))[1:][0] for pair in pairs}
    refusals = {str(join_raw(server, joining(*pair))[2]) for pair in pairs}
    assert outcomes == {grpc.StatusCode.UNAUTHENTICATED}
    assert len(refusals) == 1 and refusals.pop().startswith("TOKEN: join: ")


def test_what_nobody_asked_for_ends_the_call(server):
    answer = lobby_pb2.JoinRequest(answer=agent_pb2.ActResponse())
    good = joining("raw", TOKENS["raw"])
    for said, waited in (([answer], 0), ([], 0), ([good, answer], 1), ([good, good], 1)):
        answers, _, refused = join_raw(server, *said)
        assert refused is not None and refused.reason == policy_pb2.REASON_NOT_READY, said
        assert [a.joined.waiting for a in answers] == [1] * waited


def test_a_name_that_nobody_may_have_is_refused_at_once_and_an_absent_agent_after_the_deadline(server):
    with pytest.raises(Refused) as caught:
        collect(server, request("lobby:nobody", deadline_us=60_000_000))
    assert caught.value.field == "lobby:nobody"
    with pytest.raises(Refused) as caught:
        collect(server, request("lobby:gone", deadline_us=100_000))
    assert caught.value.reason == policy_pb2.REASON_UNREACHABLE
    assert "no answer within 0.1 s (nobody joined)" in caught.value.got


def test_an_agent_may_join_after_it_was_asked_for(server, tmp_path):
    playing = Background(server, request("lobby:gone", deadline_us=20_000_000))
    with Joined(tmp_path, server, "station", "gone"):
        assert playing.done()[1].substituted_actions == 0


def test_a_server_without_tokens_has_no_lobby(tmp_path):
    with Service("env_server") as service:
        _, code, refused = join_raw(service.address, joining("raw", "x"))
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert refused.expected == "a server started with --lobby-tokens"
        with pytest.raises(Refused, match="--lobby-tokens"):
            collect(service.address, request("lobby:station"))


def test_a_lobby_with_a_port_of_its_own_leads_nowhere_else(tokens, tmp_path):
    lobby, metrics = free_address(), free_address()
    flags = ["--lobby-tokens", str(tokens), "--lobby-listen", lobby, "--metrics-port", metrics.rpartition(":")[2]]
    with Service("env_server", flags) as service:
        with Joined(tmp_path, lobby, "station"):
            with urllib.request.urlopen(f"http://{metrics}/metrics") as page:
                assert b'agora_lobby_waiting{name="station"} 1.0' in page.read()
            assert len(collect(service.address, request("lobby:station"))[0]) == 2
        with connect_blocking(lobby) as channel, pytest.raises(grpc.RpcError) as caught:
            list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request("lobby:station"), timeout=60))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert join_raw(service.address, joining("raw", TOKENS["raw"]))[1] == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "text", ["", "[a, b]", "a: 1", "a: ''", "'': a", "a: [", "a: {b: c}", "\x00"], ids=lambda text: repr(text)
)
def test_a_file_of_tokens_that_is_none_is_refused_without_repeating_it(tmp_path, text):
    path = tmp_path / "tokens.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        read_tokens(path)
    assert caught.value.field == "lobby_tokens"
    with contextlib.suppress(FileNotFoundError), pytest.raises(Refused, match="No such file"):
        read_tokens(tmp_path / "absent.yaml")


def test_tokens_that_others_can_read_are_warned_of(tmp_path, caplog):
    path = tmp_path / "tokens.yaml"
    path.write_text("a: secret\n")
    path.chmod(0o644)
    assert read_tokens(path) == {"a": "secret"}
    assert "chmod 600" in caplog.text and "secret" not in caplog.text
    caplog.clear()
    path.chmod(0o600)
    read_tokens(path)
    assert not caplog.text
