import pytest

from scarlet_tf.supernet.supernet_config import AT_A_TIME, share_out_threads


@pytest.mark.parametrize(("threads", "shared"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 1)), (8, (2, 4))])
def test_blocks_at_a_time_have_a_thread_each_first(threads, shared):
    assert tuple(share_out_threads(threads).values()) == shared
    assert max(shared) <= threads and shared[0] <= AT_A_TIME
