"""Definitions as recorders write them: in the language of .msg files or of .idl files, with those of their parts behind them."""

import pytest

from dial_core.bags.layout import Topic
from dial_core.bags.message_types import MessageTypes
from dial_core.bags.synthetic import ROBOT, joint_bytes

LINE = "=" * 80 + "\n"
STATE = """// generated from rosidl_adapter/resource/msg.idl.em
#include "std_msgs/msg/Header.idl"

module my_robot {
  module msg {
    @verbatim (language="comment", text=
      "All joints." "\\n"
      "In radians.")
    struct State {
      std_msgs::msg::Header header;
      sequence<string> name;
      @unit (value="rad")
      sequence<double> position;
    };
  };
};
"""
HEADER = """#include "builtin_interfaces/msg/Time.idl"
module std_msgs { module msg { struct Header { builtin_interfaces::msg::Time stamp; string frame_id; }; }; };
"""
TIME_IDL = "module builtin_interfaces { module msg { struct Time { int32 sec; uint32 nanosec; }; }; };\n"
TIME_MSG = "int32 sec\nuint32 nanosec\n"


@pytest.mark.parametrize("time", [f"IDL: builtin_interfaces/msg/Time\n{TIME_IDL}", f"MSG: builtin_interfaces/msg/Time\n{TIME_MSG}"])
@pytest.mark.parametrize("first", [f"{LINE}IDL: my_robot/msg/State\n", ""], ids=["with a line before the first", "without"])
def test_own_types_are_decoded_by_their_idl(time, first):
    text = f"{first}{STATE}{LINE}IDL: std_msgs/msg/Header\n{HEADER}{LINE}{time}"
    types = MessageTypes([Topic("/state", "my_robot/msg/State", text, schema_encoding="ros2idl")])
    assert types.unknown == {}
    message = types.decode("my_robot/msg/State", joint_bytes(3 * 10**9))
    assert message.header.stamp.sec == 3
    assert list(message.name) == list(ROBOT.joint_names)
    assert len(message.position) == len(ROBOT.joint_names)
