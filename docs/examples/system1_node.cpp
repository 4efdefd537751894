// A ROS 2 node skeleton in C++ that runs an exported System-1: foresight, image and state in, a chunk out; no Python.
//
// Export first: `dial export dial_tiny --system 1 --format aoti`. Inputs and outputs: the .yaml file beside the program.
// With -DWITHOUT_RCLCPP only System1Program is compiled, with a main() that runs it once on zeros.
#include <ATen/ATen.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <iostream>
#include <string>
#include <vector>

class System1Program {
 public:
  explicit System1Program(const std::string& file) : loader_(file) {}

  // foresight float32 (1, N, d), state float32 (1, S) normalised, view uint8 (1, H, W, 3) RGB -> normalised chunk (1, horizon, A).
  at::Tensor chunk(const at::Tensor& foresight, const at::Tensor& state, const at::Tensor& view) {
    c10::InferenceMode guard;
    return loader_.run({foresight, state, view}).at(0);
  }

 private:
  torch::inductor::AOTIModelPackageLoader loader_;
};

#ifndef WITHOUT_RCLCPP
#include <dial_ros/msg/latent_foresight.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <trajectory_msgs/msg/joint_trajectory.hpp>

class System1Cpp : public rclcpp::Node {
 public:
  System1Cpp() : Node("system1_cpp"), program_(declare_parameter<std::string>("program")) {
    foresight_in_ = create_subscription<dial_ros::msg::LatentForesight>(
        "foresight", 1, [this](dial_ros::msg::LatentForesight::ConstSharedPtr message) { foresight_ = message; });
    image_in_ = create_subscription<sensor_msgs::msg::Image>(
        "image/ego", rclcpp::SensorDataQoS(), [this](sensor_msgs::msg::Image::ConstSharedPtr image) { on_image(*image); });
    out_ = create_publisher<trajectory_msgs::msg::JointTrajectory>("left_arm_controller/joint_trajectory", 1);
  }

 private:
  void on_image(const sensor_msgs::msg::Image& image) {
    if (!foresight_) return;  // to do: the gate (age, model id, instruction), the joint state, normalisation, splice and limits
    auto pixels = const_cast<uint8_t*>(image.data.data());
    auto view = at::from_blob(pixels, {1, int64_t(image.height), int64_t(image.width), 3}, at::kByte);
    auto foresight = at::from_blob(const_cast<uint8_t*>(foresight_->data.data()), {1, 36, 192}, at::kFloat);  // of dtype "float32"
    auto chunk = program_.chunk(foresight, at::zeros({1, 47}), view);
    RCLCPP_INFO(get_logger(), "chunk of %ld rows", chunk.size(1));
  }

  System1Program program_;
  dial_ros::msg::LatentForesight::ConstSharedPtr foresight_;
  rclcpp::Subscription<dial_ros::msg::LatentForesight>::SharedPtr foresight_in_;
  rclcpp::Subscription<sensor_msgs::msg::Image>::SharedPtr image_in_;
  rclcpp::Publisher<trajectory_msgs::msg::JointTrajectory>::SharedPtr out_;
};

int main(int argc, char** argv) {
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<System1Cpp>());
  rclcpp::shutdown();
}
#else
int main(int, char** argv) {
  System1Program program(argv[1]);
  auto floats = at::TensorOptions().dtype(at::kFloat), bytes = at::TensorOptions().dtype(at::kByte);
  auto chunk = program.chunk(at::zeros({1, 36, 192}, floats), at::zeros({1, 47}, floats), at::zeros({1, 96, 96, 3}, bytes));
  std::cout << chunk.size(1) << " " << chunk.size(2) << " " << chunk.abs().sum().item<double>() << std::endl;
}
#endif
