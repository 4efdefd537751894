"""ROS 2 side of DIAL. The generated `dial_ros.msg` and `dial_ros.srv` live elsewhere under the same name: join them."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
